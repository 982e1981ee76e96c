"""The exported file: how it is written, how it is read without torch, and whether runtimes agree on it."""
