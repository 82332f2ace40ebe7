"""Builds spans of finished requests and writes them to files and collectors, in a thread of its own."""
