"""The model: its features, training and devices."""
