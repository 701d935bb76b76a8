"""Tests of tasks_app/files."""
