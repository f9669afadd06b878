"""What several test folders share: real parts, faults, an etcd in memory, and checks."""
