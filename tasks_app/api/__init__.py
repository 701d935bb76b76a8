"""The REST API: parse a request, call one command or query, answer. Must not know Redis, SQL or workers."""
