"""Everything that patches other libraries: one probe per module (`probe.py`), in one list (`builtin.py`)."""
