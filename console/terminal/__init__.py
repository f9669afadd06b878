"""What the commands draw: lines, tables, progress."""
