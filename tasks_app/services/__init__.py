"""The write side: what API, admin and command line ask for. Each decides in the database first, then tells Redis."""
