"""Starts members on this worker's account: `membership.launching.Launcher` for real. Only the worker imports it."""
