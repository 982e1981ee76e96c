"""Serve an exported model over HTTP: what is let in, how it is decided, what is answered; no torch."""
