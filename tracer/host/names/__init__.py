"""Names of the host: of the application, of system calls."""
