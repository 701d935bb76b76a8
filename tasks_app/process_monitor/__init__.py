"""What each process of each host uses, how often it began, and how the one before it ended."""
