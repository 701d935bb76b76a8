"""Back-fills and clean-ups over tables of these tests, which exist while they run."""
