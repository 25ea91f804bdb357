"""2-D human pose estimation, reproduced in PaddlePaddle.

``train``, ``evaluate`` and ``PosePredictor`` are imported when they are first asked for, because
Paddle takes seconds and its threads must be chosen before it is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddle_pose.commands.evaluate import evaluate
    from paddle_pose.commands.train import train
    from paddle_pose.configs import load as load_recipe
    from paddle_pose.inference.predictor import PosePredictor

__version__ = "0.1.0"

__all__ = ["PosePredictor", "evaluate", "load_recipe", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'paddle_pose' has no attribute '{name}'")
    from paddle_pose.system import runtime

    runtime.configure(quiet=True)
    runtime.import_paddle()
    found: Any
    if name == "PosePredictor":
        from paddle_pose.inference.predictor import PosePredictor

        found = PosePredictor
    elif name == "evaluate":
        from paddle_pose.commands.evaluate import evaluate

        found = evaluate
    elif name == "train":
        from paddle_pose.commands.train import train

        found = train
    else:
        from paddle_pose.configs import load

        found = load
    return found
