"""Predicted poses on the first rendered validation pictures, none chosen: the README's picture.

``make quickstart``, then ``python -m reproduce.picture``; or of other predictions and their images.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2

from paddle_pose import drawing
from paddle_pose.command_line import CommandLine
from paddle_pose.commands import draw
from paddle_pose.errors import one_line_errors

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "people.jpg"
COUNT, COLUMNS, HEIGHT_PX = 10, 5, 190


def make(predictions: Path, images: Path, output: Path) -> None:
    """Draw predicted poses; Raises UserError."""
    files = ["--predictions", str(predictions), "--images", str(images)]
    with tempfile.TemporaryDirectory() as folder:
        draw.main([*files, "--save_path", folder, "--limit", str(COUNT)])
        cells = []
        for file in sorted(Path(folder).iterdir()):
            image = cv2.imread(str(file))[..., ::-1]
            width = round(image.shape[1] * HEIGHT_PX / image.shape[0])
            cells.append(cv2.resize(image, (width, HEIGHT_PX), interpolation=cv2.INTER_AREA))
    drawing.write_image(output, drawing.grid(cells, COLUMNS))


def main(words: Sequence[str] | None = None) -> None:
    """Make the picture."""
    parser = CommandLine(prog="python -m reproduce.picture", description=main.__doc__)
    quickstart = Path("output/quickstart")
    add = parser.add_argument
    add("--predictions", type=Path, default=quickstart / "eval" / "predictions.json")
    add("--images", type=Path, default=quickstart / "data" / "images", help="rendered people")
    parser.add_argument("--output", type=Path, default=PICTURE)
    arguments = parser.parse_args(words)
    with one_line_errors():
        make(arguments.predictions, arguments.images, arguments.output)
        print(f"=> {arguments.output}")


if __name__ == "__main__":
    main()
