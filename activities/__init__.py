"""Touches the world, through `membership.ports`: looks, waits, acts and turns."""
