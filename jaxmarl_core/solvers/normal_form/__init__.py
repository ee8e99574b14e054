"""Games in normal form."""
