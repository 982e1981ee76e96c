"""Scores of decisions and their intervals; pure, no torch."""
