"""Tests of tasks_app/domain."""
