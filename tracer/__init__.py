"""Records what each request of an async service waited for, as OpenTelemetry spans. Use it through `whywait`."""
