"""Predicted poses: the table, its file, other formats, OKS."""
