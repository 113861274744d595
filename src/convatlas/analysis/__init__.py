"""What a network costs and sees: one trace, and everything read from it."""
