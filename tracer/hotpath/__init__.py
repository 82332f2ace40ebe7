"""What runs inside the host's own calls: fills `records`, and hands finished requests over."""
