"""What crosses Temporal: requests, outcomes, orders, turns, views. Pure data."""
