"""What each request needs of each resource, how much of it is used, and which is used up first."""
