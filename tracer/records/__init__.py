"""The records that probes write. Hot: one thread at a time writes an activity; imports only `host`."""
