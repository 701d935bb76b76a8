"""Tasks in Redis: how they are enqueued, dequeued and moved, and their snapshots. Must not know SQL."""
