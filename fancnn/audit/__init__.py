"""Audit a folder of images before anything is trained on it: copies, contradictions, outliers, shortcuts."""
