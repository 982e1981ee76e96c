"""Rank the filters of a trained network by what they are worth."""
