"""Judges an endpoint's requests: why they were slow, who delayed them, and what to change."""
