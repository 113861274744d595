"""Images and labels: sources, preprocessing, augmentation, loading, download."""
