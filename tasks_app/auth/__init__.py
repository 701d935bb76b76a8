"""Authentication and accountability: API tokens, stream tickets and the audit."""
