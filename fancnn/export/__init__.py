"""Write a run as one file for the line."""
