"""Pure: where each span hangs and ends, so that Jaeger's own critical path passes through the waits."""
