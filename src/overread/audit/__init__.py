"""The second read of the data: whether a model that is trained on it can be believed."""
