"""The concepts of a task, without any store: status, snapshot, ids, priority, caller. Must not import higher layers."""
