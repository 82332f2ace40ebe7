"""Where a request begins and ends."""
