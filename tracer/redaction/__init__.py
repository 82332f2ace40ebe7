"""Which values of spans may hold a secret, and what is written instead. Off with WHYWAIT_REDACT=0."""
