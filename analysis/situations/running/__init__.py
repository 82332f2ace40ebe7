"""Code that ran: what it computed, what it ran on, and whom it stopped."""
