"""The report as JSON, with its schema."""
