"""Show the layers of a network."""
