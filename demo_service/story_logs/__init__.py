"""The story, as far as its own log lines tell it; see README.md beside this file."""
