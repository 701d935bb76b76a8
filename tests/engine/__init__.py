"""Tests of tasks_app/engine."""
