"""The tests of tasks_app/testing."""
