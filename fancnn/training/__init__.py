"""What happens in a training: the Lightning module, losses, schedules, callbacks, checkpoint files."""
