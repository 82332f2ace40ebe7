"""Patterns of a whole run that no single segment shows."""
