"""Tests of tasks_app/django_tasks."""
