"""Which requests become spans, for how many each stands, and what is counted of all."""
