"""Tests of tasks_app/webhooks."""
