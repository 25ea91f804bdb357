"""Rendered people: data without photos."""
