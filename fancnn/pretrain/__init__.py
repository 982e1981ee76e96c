"""Train layers on images without labels."""
