"""What a network sees: one method, one file."""
