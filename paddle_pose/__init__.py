"""2-D human pose estimation in PaddlePaddle: records → augment → crop → … → score → record."""

__version__ = "0.1.0"
