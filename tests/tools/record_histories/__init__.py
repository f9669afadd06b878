"""Histories of every kind of change, recorded for the replay test: `make histories`."""
