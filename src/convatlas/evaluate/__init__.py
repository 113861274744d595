"""How good a network is: metrics and test protocols."""
