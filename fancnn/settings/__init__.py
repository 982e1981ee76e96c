"""The keys of the configuration, their types and what they may be; the standard library alone."""
