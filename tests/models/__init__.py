"""Tests of tasks_app/models."""
