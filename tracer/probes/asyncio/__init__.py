"""Event loops: callbacks, task steps, timers, sockets."""
