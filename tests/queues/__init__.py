"""Tests of tasks_app/queues."""
