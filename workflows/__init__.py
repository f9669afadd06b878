"""Decides what happens next. Deterministic: the sandbox re-executes everything here."""
