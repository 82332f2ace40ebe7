"""Patterns beyond single waits, as numbers. A new one: its kind, a file with its record and detector, its words."""
