"""The data that crosses Temporal: requests, outcomes, orders, turns, views. Pure data."""
