"""Writes spans as OTLP JSON Lines, with OpenTelemetry's own encoder."""
