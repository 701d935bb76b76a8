"""What Django does not provide for databases: causes of errors, fast inserts, replicas, character sets, timeouts."""
