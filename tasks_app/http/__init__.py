"""What web and the stream read of an HTTP request before any framework: addresses, origins, schemes."""
