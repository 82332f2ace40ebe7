"""What child processes cost a traced service, and what a host sees of whywait at rest."""
