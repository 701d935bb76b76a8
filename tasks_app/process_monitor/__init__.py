"""The resources of each process on each host, its restarts, and how its predecessor ended."""
