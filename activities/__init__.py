"""Everything that touches the world, through `membership.ports`: looks, waits, acts and turns."""
