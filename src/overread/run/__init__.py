"""One run, from a list of images to a sealed model folder: the stages in their order."""
