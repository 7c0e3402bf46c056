"""What the model says, and whether to believe it."""
