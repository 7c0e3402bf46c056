"""One readable pass over the images, again and again."""
