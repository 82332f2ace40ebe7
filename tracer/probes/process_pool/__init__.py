"""Process pools, as seen from the parent."""
