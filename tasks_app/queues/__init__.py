"""Tasks in Redis: accepted into a queue, dequeued, moved, and their snapshots. Must not know SQL."""
