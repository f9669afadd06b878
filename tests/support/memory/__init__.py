"""An etcd cluster in memory that obeys the rules of the real one, and changes on it."""
