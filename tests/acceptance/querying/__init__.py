"""An application for a stack's processes, with a task type whose parameters need the database."""
