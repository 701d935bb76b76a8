"""Tests of tasks_app/observability."""
