"""Weights to files for serving, each compared with the network at once."""

from __future__ import annotations

import argparse
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import EXIT_CODES, one_line_errors
from paddle_pose.system import runtime

EXAMPLES = (
    "python export.py --output served",
    "python export.py --weights output/w32_mpii_256x256/best_model/model.pdparams --output served",
    "python export.py --weights mmpose_hrnet_w32_mpii_256x256 --output served --format onnx",
    "python export.py --weights w.pdparams --output served --format int8 --calibration data/mpii",
)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(
        "python export.py", description=__doc__, epilog=EXIT_CODES, examples=EXAMPLES
    )
    add = parser.add_argument
    add("--config", metavar="RECIPE",
        help="family:name or a recipe.yaml (default: the run's, beside the weights)")  # fmt: skip
    add("--weights", metavar="FILE", help="any format, or a published name (packaged ones)")
    add("--output", metavar="DIR", type=Path, required=True, help="folder for FORMAT/model.*")
    add("--format", default="paddle,onnx", help="some of paddle,onnx,int8 (default: paddle,onnx)")
    add("--calibration", type=Path, metavar="IMAGES",
        help="for int8: a data set's folder, or one of photos of one person each")  # fmt: skip
    add("--annotations", metavar="FILE", type=Path,
        help="COCO file with the joints, where the recipe has none")  # fmt: skip
    add("--licence", default="not stated", help="of the weights, for model.yaml")
    parser.add_changes()
    return parser.parse_args()


def main() -> None:
    """Parse, load, export."""
    with one_line_errors():
        given = parse_arguments()
        runtime.configure(quiet=True)
        formats = list(dict.fromkeys(filter(None, map(str.strip, given.format.split(",")))))
        runtime.import_paddle()
        from paddle_pose.commands.defaults import packaged, weights_named
        from paddle_pose.commands.export import export

        weights = weights_named(given.weights, "--weights")
        if given.weights is None:
            weights = packaged("--weights")
        weights.understood.tell()
        export(
            given.config or weights.recipe,
            weights.file,
            given.output,
            formats=formats,
            calibration=given.calibration,
            annotations=given.annotations,
            licence=given.licence,
            assignments=given.assignments,
        )


if __name__ == "__main__":
    main()
