"""What Django leaves open about databases: whose fault an error is, fast inserts, replicas, columns."""
