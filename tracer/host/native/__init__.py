"""The C core of the hot path: its sources, and what finds the module that was built from them."""
