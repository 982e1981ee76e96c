"""Compare models on the same images."""
