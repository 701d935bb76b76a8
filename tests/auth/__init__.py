"""Tests of tasks_app/auth."""
