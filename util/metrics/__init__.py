"""Numbers that say how good images are."""
