"""Tests of tasks_app/operations."""
