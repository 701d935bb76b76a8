"""Tests of tasks_app/management."""
