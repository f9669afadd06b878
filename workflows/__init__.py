"""Decides the next step of a change. Deterministic: the sandbox re-executes everything here."""
