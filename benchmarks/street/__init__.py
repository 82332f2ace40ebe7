"""Programs as found in bug reports, each of which measures what was true, and what whywait says of them."""
