"""Tests of tasks_app/api/stream."""
