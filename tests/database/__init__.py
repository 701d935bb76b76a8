"""Tests of tasks_app/database."""
