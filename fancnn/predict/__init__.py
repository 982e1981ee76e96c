"""Decide on new images."""
