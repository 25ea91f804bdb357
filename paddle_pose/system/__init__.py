"""Threads, ranks, devices: set before Paddle is imported."""
