"""What a worker shows to a monitoring system: its metrics, and whether it works."""
