"""The front page: one page in front of the API, which it speaks to as any other client does."""
