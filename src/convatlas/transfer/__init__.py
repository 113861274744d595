"""A trained network put to another use: its maps as features, its classifier on larger images."""
