"""The experiments of the papers, one file each, with pass or fail."""
