"""Promises to users, checked on the real processes of the Procfile from outside."""
