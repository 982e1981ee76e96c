"""Image files to pixels: reading any file within bounds, the one resize, decoding many at once."""
