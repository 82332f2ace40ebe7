"""Shows an `Analysis`: in the terminal, as one HTML file, as JSON. Computes nothing that others compute."""
