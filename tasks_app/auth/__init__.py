"""Who calls and what they did: API tokens, stream tickets and the audit."""
