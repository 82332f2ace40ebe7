"""Where the work of a request begins, and where it ends."""
