"""Tests of tasks_app/http."""
