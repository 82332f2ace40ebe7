"""Everything that touches other libraries. Each module installs one probe and returns its undo."""
