"""Tests of tasks_app/admin."""
