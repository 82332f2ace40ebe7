"""Everything that touches other libraries: one probe a module (`probe.py`), in one list (`builtin.py`)."""
