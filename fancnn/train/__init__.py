"""Train an inspector."""
