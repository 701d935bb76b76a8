"""Tests of tasks_app/services."""
