"""Tests of longtasks/local_stack."""
