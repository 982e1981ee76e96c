"""Pictures to tensors: reading files, the one resize, decoding many at once, keeping them decoded."""
