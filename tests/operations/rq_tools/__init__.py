"""Tests of docs/rq-tools.md: each command of RQ and django-rq runs as a process on our queues."""
