"""Find how small images may be: the same training at several sizes, and a comparison of what it came to."""
