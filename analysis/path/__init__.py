"""The critical path of each request, cut into the smallest stretches with one answer. Pure."""
