"""The doctor: read-only checks, each of which reports its faults and their fixes."""
