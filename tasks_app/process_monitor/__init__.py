"""The processes of all hosts: their resources, their restarts, and how each predecessor ended."""
