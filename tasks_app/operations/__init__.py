"""For operators: metrics, readiness, retention, verification and the doctor."""
