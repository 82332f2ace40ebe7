"""Divides each request's wall time among causes. Reads spans, never the traced service."""
