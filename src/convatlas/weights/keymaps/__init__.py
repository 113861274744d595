"""Names of other libraries: one library, one file, data only."""
