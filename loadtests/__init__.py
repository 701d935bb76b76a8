"""Load tests with k6 and Artillery's language; see README.md. No part of the running system."""
