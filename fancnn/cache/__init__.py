"""Look after the decoded images that are kept on disk."""
