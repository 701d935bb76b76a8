"""What the web process and the stream read from an HTTP request without a framework: addresses, origins, schemes."""
