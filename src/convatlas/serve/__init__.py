"""A trained network answering questions: image in, class names out."""
