"""Training: one visible loop, and the run folder around it."""
