"""Locks, conditions and the primitives built on them."""
