"""Paddle's own oneDNN called directly: blocked layouts for float32 training on a CPU.

Only ``models/blocks.py`` imports this.
"""
