"""An exported inspector over HTTP: what is let in, how it is decided, what is told; no torch."""
