"""Compare a run and its exported file on every runtime, image by image."""
