"""A whole deployment on one machine, for the demo and the tests: Temporal's dev server, etcd, a worker."""
