"""Reads the host: its code, objects, threads and clocks. Nothing here changes the host or keeps its objects."""
