"""The exported model: its graph, what its file states about itself, and its use without torch."""
