"""The spans of an activity's waits, and of its return from each. Pure."""
