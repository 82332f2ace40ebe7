"""The parts of the demonstration: load, comparison and report."""
