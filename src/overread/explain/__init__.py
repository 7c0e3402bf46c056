"""Where a network looks, and whether that can be believed."""
