"""Episodes and pathways for other programs."""
