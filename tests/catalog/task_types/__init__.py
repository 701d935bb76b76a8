"""Tests of catalog/task_types."""
