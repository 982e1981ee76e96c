"""Find a learning rate to start with."""
