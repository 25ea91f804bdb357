"""Weights to files for serving, each compared with the network at once.

python export.py --config hrnet:w32_mpii_256x256 --weights model.pdparams --output served
python export.py --config … --weights … --output served --format int8 --calibration data/mpii
"""

from __future__ import annotations

import argparse
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import EXIT_CODES, one_line_errors
from paddle_pose.system import runtime


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(
        description=__doc__,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config", help="family:name or a recipe.yaml (default: the run's, beside the weights)")
    add("--weights", type=Path, required=True, help="of any format that is read")
    add("--output", type=Path, required=True, help="folder to make: OUTPUT/FORMAT/model.*")
    add("--format", default="paddle,onnx", help="some of paddle,onnx,int8 (default: paddle,onnx)")
    add("--calibration", type=Path, metavar="IMAGES",
        help="for int8: a data set's folder, or one of photos of one person each")  # fmt: skip
    add("--annotations", type=Path, help="COCO file with the joints, where the recipe has none")
    add("--licence", default="not stated", help="of the weights, for model.yaml")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="assignments")
    return parser.parse_args()


def main() -> None:
    """Parse, load, export."""
    with one_line_errors():
        given = parse_arguments()
        runtime.configure(quiet=True)
        formats = list(dict.fromkeys(filter(None, map(str.strip, given.format.split(",")))))
        runtime.import_paddle()
        from paddle_pose.commands.export import export

        export(
            given.config,
            given.weights,
            given.output,
            formats=formats,
            calibration=given.calibration,
            annotations=given.annotations,
            licence=given.licence,
            assignments=given.assignments,
        )


if __name__ == "__main__":
    main()
