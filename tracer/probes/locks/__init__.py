"""Locks, conditions and what is made of them."""
