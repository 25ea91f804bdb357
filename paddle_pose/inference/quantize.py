"""INT8 by post-training quantisation: NNCF measures ranges on images, OpenVINO runs the result."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

os.environ.setdefault("NNCF_CI", "1")  # its switch for: report nothing to anybody


def require_packages() -> None:
    """Raises ImportError for one that is not installed."""
    import nncf  # noqa: F401
    import openvino  # noqa: F401


def quantize(model: Path, images_BCHW: np.ndarray, folder: Path) -> None:
    """Write ``model.xml`` and ``model.bin``: weights and activations in 8 bits.

    Args:
        model: an ONNX file with one input of any batch.
        images_BCHW: normalised, as the model takes them; all of them are run.
        folder: to write in.
    """
    import nncf
    import openvino

    read = openvino.Core().read_model(model)
    images = nncf.Dataset([image[None] for image in images_BCHW])
    made = nncf.quantize(read, images, subset_size=len(images_BCHW))
    openvino.save_model(made, folder / "model.xml", compress_to_fp16=False)
