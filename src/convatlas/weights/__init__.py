"""Weights in files: the store, and keys of other libraries."""
