"""Make the page that says what a model is worth."""
