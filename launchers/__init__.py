"""Starts members on this worker's account: `messages.launching.Launcher` for real. Only the worker imports it."""
