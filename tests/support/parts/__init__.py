"""Real parts: etcd clusters behind relays, a Temporal server, a worker, the command line."""
