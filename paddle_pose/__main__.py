"""``python -m paddle_pose TOOL``: the small tools; alone it lists them."""

from __future__ import annotations

import sys

from paddle_pose.errors import UserError, nearest, one_line_errors
from paddle_pose.system import runtime

TOOLS = {
    "recipes": "every recipe with its published values",
    "port": "published PyTorch weights to ours and back",
    "predict": "poses drawn on photos and videos: predict.py",
    "draw": "saved predictions on their photos",
    "gallery": "image, truth and prediction side by side, best person to worst",
    "count": "parameters and MACs of recipes",
    "prune": "a trained network without its weakest filters, to be trained again",
    "convert": "MPII's release, LSP, labelme, YOLO pose, COCO → a layout that trains",
    "browse": "a data set's samples as a picture, and what looks wrong in it",
    "render": "a data set of rendered people",
    "quickstart": "render, train, score and draw, in minutes on a CPU",
}
EXAMPLES = (
    "python -m paddle_pose quickstart",
    "python -m paddle_pose recipes hrnet",
    "python -m paddle_pose port --list",
    "python -m paddle_pose browse --dataset_root data/mpii",
)


def main() -> None:
    """Run the tool that the first word names."""
    with one_line_errors():
        if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
            print("usage: python -m paddle_pose TOOL …; each has its own --help\n")
            print("\n".join(f"  {name:12}{what}" for name, what in TOOLS.items()))
            print("\nexamples:", *EXAMPLES, sep="\n  ")
            return
        tool, words = sys.argv[1], sys.argv[2:]
        if tool not in TOOLS:
            raise UserError(f"no tool '{tool}'{nearest(tool, TOOLS)}")
        asks = {"-h", "--help"} & set(words)
        runtime.configure(quiet=bool(asks) or tool not in ("port", "quickstart"))
        _run(tool, words)


def _run(tool: str, words: list[str]) -> None:
    # Each is imported when it is asked for: some take seconds.
    if tool == "recipes":
        from paddle_pose.commands import recipes

        recipes.main(words)
    elif tool == "port":
        from paddle_pose.commands import port

        port.main(words)
    elif tool == "predict":
        from paddle_pose.serving import predict_line

        predict_line.main(words, "python -m paddle_pose predict")
    elif tool == "draw":
        from paddle_pose.commands import draw

        draw.main(words)
    elif tool == "gallery":
        from paddle_pose.commands import gallery

        gallery.main(words)
    elif tool == "count":
        from paddle_pose.commands import count

        count.main(words)
    elif tool == "convert":
        from paddle_pose.commands import convert

        convert.main(words)
    elif tool == "browse":
        from paddle_pose.commands import browse

        browse.main(words)
    elif tool == "render":
        from paddle_pose.synthetic import dataset

        dataset.main(words)
    else:
        _run_another(tool, words)


def _run_another(tool: str, words: list[str]) -> None:
    if tool == "prune":
        from paddle_pose.commands import prune

        prune.main(words)
    else:
        from paddle_pose.commands import quickstart

        quickstart.main(words)


if __name__ == "__main__":
    main()
