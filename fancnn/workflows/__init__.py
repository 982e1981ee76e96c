"""The story of each command, top to bottom, one file each."""
