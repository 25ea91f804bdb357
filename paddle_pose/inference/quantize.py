"""INT8 by post-training quantisation: NNCF measures ranges on images, OpenVINO runs the result."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

os.environ.setdefault("NNCF_CI", "1")  # its switch for: report nothing to anybody


STAYS_FLOAT = ("BatchNormInference", "Add")
"""OpenVINO's names of what is no product: its input would be rounded once more, for little time.

Newell's hourglass adds up to 13 blocks in a row, and has a batch norm before each convolution.
"""


def require_packages() -> None:
    """Raises ImportError for one that is not installed."""
    import nncf  # noqa: F401
    import openvino  # noqa: F401


def quantize(model: Path, images_BCHW: np.ndarray, folder: Path) -> None:
    """Write ``model.xml`` and ``model.bin``: convolutions and what they take in 8 bits.

    Args:
        model: an ONNX file with one input of any batch.
        images_BCHW: normalised, as the model takes them; all of them are run.
        folder: to write in.
    """
    import nncf
    import openvino

    read = openvino.Core().read_model(model)
    images = nncf.Dataset([image[None] for image in images_BCHW])
    scope = nncf.IgnoredScope(types=list(STAYS_FLOAT), validate=False)  # where there are some
    made = nncf.quantize(read, images, subset_size=len(images_BCHW), ignored_scope=scope)
    openvino.save_model(made, folder / "model.xml", compress_to_fp16=False)
