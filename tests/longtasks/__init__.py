"""Tests of longtasks."""
