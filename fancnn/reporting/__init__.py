"""Pages to look at: figures, thumbnails and words about a model's decisions; pure, no torch."""
