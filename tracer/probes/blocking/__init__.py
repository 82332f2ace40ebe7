"""Calls that block a thread: sleeps, sockets, joins, logging handlers, garbage collections."""
