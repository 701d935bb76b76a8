"""Tests of tasks_app/resilience."""
