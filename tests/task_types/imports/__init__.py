"""Tests of tasks_app/task_types/imports."""
