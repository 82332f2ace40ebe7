"""Runs the service in a process of its own, and ends it cleanly."""
