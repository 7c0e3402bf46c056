"""Arrays in, numbers out: numpy and scipy only, no disk, no torch."""
