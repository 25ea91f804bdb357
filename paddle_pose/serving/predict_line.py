"""The command line of ``predict.py`` and ``python -m paddle_pose predict``."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import EXIT_CODES, UserError, nearest, one_line_errors
from paddle_pose.poses.alphapose_json import FORMS
from paddle_pose.poses.pose_nms import WAYS
from paddle_pose.settings import ENGINES, PRECISIONS
from paddle_pose.system import runtime

DOOR = "python predict.py"
HELP = "Draw poses on photos and videos; write them as COCO results and as a table."
EXAMPLES = (
    " photo.jpg folder/ video.mp4",
    " photo.jpg --box 40,20,200,460 --weights w32.pth --config RECIPE",
    " video.mp4 --track --detector picodet --smooth",
    " --serve                  (a page to drop photos on)",
)
SERVED = ("serve", "port", "host", "weights", "config", "exported", "device", "engine", "precision",
          "batch_size")  # fmt: skip
"""Options that ``--serve`` takes."""

MOST_OVERLAP = 0.6


def parse_arguments(words: Sequence[str] | None, door: str = DOOR) -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(
        door, description=HELP, epilog=EXIT_CODES, examples=[door + e for e in EXAMPLES]
    )
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", help="photo, folder, video, or a camera's index")
    add("--weights", metavar="FILE", help="any format, or a published name (packaged ones)")
    add("--config", metavar="RECIPE", help="family:name or .yaml (default: the weights' own)")
    add("--exported", type=Path, metavar="DIR", help="what export.py wrote, instead of weights")
    add(
        "--output",
        type=Path,
        metavar="DIR",
        default=Path("output/predict"),
        help="folder (output/predict)",
    )
    add("--box", type=_box, action="append", metavar="X,Y,W,H", help="a person; repeatable")
    add("--boxes", type=Path, metavar="FILE", help="COCO results of a detector, by image id")
    add("--detector", metavar="MODEL", help="FILE.onnx (YOLO), PaddleDetection DIR, or picodet")
    add(
        "--threshold",
        type=float,
        metavar="S",
        help="boxes below are left out (detector 0.5, --boxes 0)",
    )
    add(
        "--nms",
        action="append",
        metavar="IOU|WAY",
        help="most that boxes overlap (0.6); of poses: pose, oks, none",
    )
    add(
        "--min_score", type=float, metavar="S", default=0.2, help="joints below are not drawn (0.2)"
    )
    add(
        "--instances",
        type=int,
        choices=(1, 2),
        default=1,
        metavar="N",
        help="poses a box (1); 2 with MIPNet",
    )
    add("--benchmark", metavar="NAME", help="one of the recipe's ways to look (its first)")
    add("--heatmaps", action="store_true", help="also draw each joint's heat map, of photos")
    add("--track", action="store_true", help="follow people by PoseFlow: videos, numbered frames")
    add("--orb", action="store_true", help="--track goes by ORB's points as well: slower")
    add("--format", choices=FORMS, default="coco", metavar="FORM", help=", ".join(FORMS))
    add("--smooth", nargs="?", const="1,1", metavar="HZ,BETA", help="One-Euro filter, videos (1,1)")
    add("--limit", type=int, metavar="N", help="of each video and camera the first N frames")
    add("--batch_size", type=int, metavar="N", help="people at a time (default: 4; 32 on a GPU)")
    add("--device", help="auto (default), cpu, gpu or gpu:N")
    add(
        "--engine",
        choices=ENGINES,
        metavar="NAME",
        help="auto (default), eager, onednn, openvino",
    )
    add(
        "--precision",
        choices=PRECISIONS,
        metavar="NAME",
        help="float32 (default); bfloat16 rounds",
    )
    add("--serve", action="store_true", help="a page to drop photos on, instead of paths")
    add("--port", type=int, metavar="N", help="of --serve (8000); 0 takes a free one")
    add("--host", metavar="ADDRESS", help="of --serve (127.0.0.1: this machine alone)")
    given = parser.parse_args(_with_signs(sys.argv[1:] if words is None else words))
    if given.serve:
        _require_served(given, parser)
    elif (given.port, given.host) != (None, None):
        parser.error("--port, --host: have a meaning only with --serve")
    elif not given.paths:
        parser.error("the following arguments are required: PATH (or --serve)")
    return given


def _with_signs(words: Sequence[str]) -> list[str]:
    """``--box -5,0,9,9`` as ``--box=-5,0,9,9``: argparse would take the number for an option."""
    found: list[str] = []
    for word in words:
        if found and found[-1] == "--box" and word[:1] == "-" and word[1:2].isdigit():
            found[-1] = f"--box={word}"
        else:
            found.append(word)
    return found


def _require_served(given: argparse.Namespace, parser: CommandLine) -> None:
    """Ends where an option is given that the page has no use for."""
    for name, value in vars(given).items():
        if name not in SERVED and value not in (parser.get_default(name), []):
            parser.error(f"{name if name == 'paths' else f'--{name}'}: no meaning with --serve")
    if given.port is not None and not 0 <= given.port < 1 << 16:
        parser.error(f"--port {given.port}: must be from 0 to 65535")


def _box(text: str) -> list[float]:
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise argparse.ArgumentTypeError(f"'{text}' is not left,top,width,height in pixels")
    if min(values[2:]) <= 0:
        raise argparse.ArgumentTypeError(f"'{text}': width and height must be above 0")
    return values


def check(given: argparse.Namespace) -> None:
    """Raises UserError for options that have no meaning together, or no such value."""
    for name in ("weights", "config", "device", "engine", "precision"):
        if given.exported is not None and getattr(given, name) is not None:
            raise UserError(f"--{name}: has no meaning with --exported; leave one of them out")
    if given.config is not None and given.weights is None:
        raise UserError("--config: says what network --weights FILE is of; give both")
    if sum(one is not None for one in (given.box, given.boxes, given.detector)) > 1:
        raise UserError("--box, --boxes, --detector: say where people are; give one of them")
    if given.threshold is not None and given.boxes is None and given.detector is None:
        raise UserError("--threshold: has a meaning only with --boxes or --detector")
    iou, _ = poses_and_boxes(given)
    values = (given.threshold, 0, 1), (iou, 0, 1), (given.min_score, 0, 1e9)
    for name, (value, least, most) in zip(("threshold", "nms", "min_score"), values, strict=True):
        if value is not None and not least <= value <= most:
            raise UserError(f"--{name} {value}: must be a number between {least:g} and {most:g}")
    for name in ("limit", "batch_size"):
        value = getattr(given, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} {value}: must be at least 1")


def require_there(given: argparse.Namespace) -> None:
    """Raises UserError for what is named and is not there, before Paddle takes its time."""
    from paddle_pose.inference.sources import sources_of  # late: it loads OpenCV

    if given.paths:
        sources_of(given.paths, given.output, say=False)
    files = [("boxes", given.boxes), ("exported", given.exported)]
    if given.config is not None and given.config.endswith((".yaml", ".yml")):
        files.append(("config", Path(given.config)))
    for name, path in files:
        if path is not None and not path.exists():
            raise UserError(f"--{name} {path}: no such file or folder")


def poses_and_boxes(given: argparse.Namespace) -> tuple[float, str]:
    """Of ``--nms``: most that two boxes overlap, and the way for poses.

    Raises:
        UserError: other words, too many of them, ``--orb`` alone.
    """
    if given.orb and not given.track:
        raise UserError("--orb: has a meaning only with --track")
    words = given.nms or []
    ways = [word for word in words if word in WAYS]
    others = [word for word in words if word not in WAYS]
    if len(ways) > 1 or len(others) > 1:
        raise UserError(f"--nms {' '.join(words)}: one number for boxes and one way for poses")
    try:
        iou = float(others[0]) if others else MOST_OVERLAP
    except ValueError as error:
        raise UserError(
            f"--nms {others[0]}: neither a number (most that boxes overlap) nor one of "
            f"{', '.join(WAYS)} for poses{nearest(others[0], WAYS)}"
        ) from error
    if others and given.detector is None:
        raise UserError(f"--nms {others[0]}: a number is for a detector's boxes (--detector)")
    return iou, ways[0] if ways else ("pose" if given.track else "none")


def main(words: Sequence[str] | None = None, door: str = DOOR) -> None:
    """Parse, and look."""
    with one_line_errors():
        given = parse_arguments(words, door)
        check(given)
        require_there(given)
        runtime.configure(quiet=True)
        from paddle_pose.commands.defaults import weights_named
        from paddle_pose.inference.video import OneEuro

        weights = weights_named(given.weights, "--weights")
        smooth = None if given.smooth is None else OneEuro.of(given.smooth)
        runtime.import_paddle()
        from paddle_pose.commands.predict import Drawing, Network, Where, predict
        from paddle_pose.inference.tracking import Following

        weights.understood.tell()
        iou, way = poses_and_boxes(given)
        if given.track and way not in (given.nms or []):
            print("assumed: --nms pose, as AlphaPose has it (--nms none keeps all)", flush=True)
        network = Network(
            weights.file,
            given.config or weights.recipe,
            given.exported,
            device=given.device,
            engine=given.engine,
            precision=given.precision,
            batch_size=given.batch_size,
            instances=given.instances,
            benchmark=given.benchmark,
        )
        if given.serve:
            from paddle_pose.serving.server import serve

            serve(network, given.host or "127.0.0.1", 8000 if given.port is None else given.port)
        predict(
            given.paths,
            network,
            Where(given.box, given.boxes, given.detector, given.threshold, iou),
            Drawing(
                given.output,
                given.min_score,
                heatmaps=given.heatmaps,
                smooth=smooth,
                form=given.format,
            ),
            Following(way, given.track, given.orb),
            limit=given.limit,
        )
