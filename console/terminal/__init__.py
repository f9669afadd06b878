"""Draws the output of the commands: lines, tables, progress."""
