"""Pure: the cause, the evidence and the culprit of each segment of a request."""
