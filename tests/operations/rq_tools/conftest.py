"""All tests of RQ's tools share one stack."""

from tests.operations.rq_tools.rq_stack import _stack, stack  # noqa: F401 (fixtures)
