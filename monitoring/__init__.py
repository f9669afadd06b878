"""The interface of a worker for monitoring systems: its metrics, and whether it works."""
