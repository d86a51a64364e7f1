"""select: which samples people label."""
