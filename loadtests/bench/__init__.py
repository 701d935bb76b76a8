"""`python -m loadtests.bench`: measures longtasks and, if PEER_DIR names one, the peer, and writes the report."""
