"""Everything that touches the world, through `membership.etcd`: looks, waits, acts and turns."""
