"""Runs the mirror in this process."""

from tasks_app.queues import redis_connection
from tasks_app.read_model.mirror import Mirror


def run_mirror() -> None:
    """Run the mirror until it has read the whole stream."""
    reader = Mirror(connection=redis_connection.get_connection())
    while reader.step():
        pass
