"""What the service takes, answers and refuses over HTTP."""
