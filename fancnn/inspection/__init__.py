"""Decisions and scores from probabilities: pure functions, no torch."""
