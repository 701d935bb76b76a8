"""Who sees, touches and stops what: every door with every caller, and what must tell nothing of another's."""
