"""Networks, and the folder that they live in."""
