"""How each paper trained its networks: the same file names, data only."""
