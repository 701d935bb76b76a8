"""Tests of longtasks/http."""
