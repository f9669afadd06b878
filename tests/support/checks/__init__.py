"""Checks of promises: every acknowledged write is kept, nothing took effect twice, no learner is left."""
