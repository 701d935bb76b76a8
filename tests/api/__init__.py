"""The REST API, through Django's test client, on a real database and a real Redis."""
