"""Several hosts on one machine, in network namespaces: `make cluster-test`; the short tests run with make test."""
