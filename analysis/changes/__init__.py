"""What changed between two runs, and whose part in it changed most."""
