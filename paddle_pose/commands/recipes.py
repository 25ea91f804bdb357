"""Every recipe with its published values: ``python -m paddle_pose recipes``."""

from __future__ import annotations

from collections.abc import Sequence

from paddle_pose import configs
from paddle_pose.command_line import CommandLine


def main(words: Sequence[str] | None = None) -> None:
    """List recipes, one line for each of their benchmarks."""
    parser = CommandLine(prog="python -m paddle_pose recipes", description=main.__doc__,
        examples=("python -m paddle_pose recipes", "python -m paddle_pose recipes hrnet")
    )  # fmt: skip
    parser.add_argument(
        "family",
        nargs="?",
        choices=sorted(configs.FAMILIES),
        metavar="FAMILY",
        help="of one family alone",
    )
    chosen = parser.parse_args(words).family
    for name in configs.all_names():
        if chosen is not None and name.partition(":")[0] != chosen:
            continue
        for number, benchmark in enumerate(configs.load(name).benchmarks):
            values = " ".join(f"{key} {value:g}" for key, value in benchmark.published.items())
            shown = name if number == 0 else ""
            print(f"{shown:44}{benchmark.name:28}{values or 'none published'}")
