"""Tests of longtasks/management."""
