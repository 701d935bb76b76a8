"""Starting, running, mirroring and showing tasks; knows no task type."""
