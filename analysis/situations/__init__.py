"""Patterns over many requests, as numbers. A new one needs a kind, a file with record and detector, a sentence."""
