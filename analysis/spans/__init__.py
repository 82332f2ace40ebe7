"""Finds the spans, requests and activities. Pure."""
