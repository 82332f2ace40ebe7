"""What probes write down. Hot: filled by one thread at a time per activity; imports only `host`."""
