"""Training with Lightning: data, the classifier, callbacks, schedules. Knows nothing of configuration."""
