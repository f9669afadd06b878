"""A whole deployment on one machine: Temporal's dev server, etcd, a worker. For the demo and the tests."""
