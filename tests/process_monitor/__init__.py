"""Tests of tasks_app/process_monitor."""
