"""Tests of tasks_app/checkpoints."""
