"""Tests of tasks_app/record_files."""
