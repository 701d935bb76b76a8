"""The write side: the requests of API, admin and command line. Each is decided in the database, then applied to Redis."""
