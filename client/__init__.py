"""Speaks to Temporal about changes, for everything outside a worker. Nothing here draws on a terminal."""
