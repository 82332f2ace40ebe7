"""Renders an `Analysis`: in the terminal, as HTML, JSON, Perfetto and annotated traces. Computes no results."""
