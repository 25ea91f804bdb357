"""Step-by-step alignment with the official implementations; ``python -m reproduce.align`` runs it."""
