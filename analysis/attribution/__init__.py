"""Gives each segment of a request its cause, evidence and culprit. Pure."""
