"""Tests of longtasks/server."""
