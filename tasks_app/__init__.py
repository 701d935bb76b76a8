"""Starting, running, mirroring and showing tasks; knows no task type."""

__version__ = "1.0.0"
