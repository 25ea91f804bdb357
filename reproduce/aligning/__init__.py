"""Step-by-step alignment with the official implementations, for ``reproduce.align``."""
