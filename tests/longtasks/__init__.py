"""Tests of the project package: child processes, the embedded server, the stack runner."""
