"""Those who had what a request waited for."""
