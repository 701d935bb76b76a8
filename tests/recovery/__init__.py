"""Tests of tasks_app/recovery."""
