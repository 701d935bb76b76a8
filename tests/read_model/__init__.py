"""Tests of tasks_app/read_model."""
