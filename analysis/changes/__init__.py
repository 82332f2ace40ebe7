"""What changed between two runs, and which culprit's share changed most."""
