"""Sets parents and ends of spans so that Jaeger's own critical path passes through the waits. Pure."""
