"""How a child process begins to trace: at the first sign that it serves, and not before."""
