"""Score a run, or a prediction table of any model."""
