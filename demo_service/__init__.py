"""The story's service: a latency predictor in six modes, from threads per pod to one batch."""
