"""Folders of images, their labels and splits, decoded once and read in batches."""
