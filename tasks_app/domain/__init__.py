"""What a task is, without any store: its status, snapshot, ids and priority. Imports nothing of the project but errors."""
