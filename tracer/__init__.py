"""Records what each request waited for. Importing it changes nothing; `start()` does."""

__version__ = "0.1.0"
