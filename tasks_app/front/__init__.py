"""The front page: one page that uses the API as any other client does."""
