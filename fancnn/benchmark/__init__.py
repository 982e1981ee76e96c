"""Measure speed and memory side by side with what they are held against; each file measures one kind of thing."""
