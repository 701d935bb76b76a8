"""Access control: every door with every caller, and that nothing reveals another owner's tasks."""
