"""A run followed from its files."""
