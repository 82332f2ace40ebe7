"""Pure: the spans of an activity's waits, and of its way back from each."""
