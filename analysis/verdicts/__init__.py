"""Judges an endpoint's requests: why they took what they took, and what would help."""
