"""Networks: one file each; their descriptions without Paddle are in ``architectures``."""
