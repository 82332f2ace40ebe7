"""Single waits: where they were, whether they repeat, and what limits them."""
