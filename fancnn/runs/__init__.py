"""What a run folder holds: checkpoints, scores, looks at test images, and how to go on from it."""
