"""Read and write files that others may have made, cut or damaged, so that nothing is lost and nothing let in."""
