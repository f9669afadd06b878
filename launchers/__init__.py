"""Starts members for this worker: the real `messages.launching.Launcher`. Only the worker imports it."""
