"""The tests mirror the source; tests/acceptance drives real processes on real servers."""
