"""`python -m loadtests.bench`: measures longtasks, the peer beside it where PEER_DIR names one, and writes the report."""
