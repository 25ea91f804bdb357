"""Parameters and MACs of the recipes: ``python -m paddle_pose count RECIPE … | --all``.

Columns: parameters in millions; MACs of one image in 1e9 (convolutions, transposed
convolutions, linear layers); and the number that HRNet's own counter prints as GFLOPs, which is
MACs / 1024³ with transposed convolutions counted four times over. ``--layers`` lists each layer,
``--depth N`` sums those whose names begin alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from paddle_pose import configs
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError
from paddle_pose.system import runtime

LAYER_HEADER = ("layer", "kind", "output (c×h×w)", "params", "MMACs", "% of MACs")
HEADER = ("recipe", "image (w×h)", "params (M)", "GMACs", "HRNet's counter (MACs/1024³)")


def rows(names: Sequence[str]) -> list[tuple[str, ...]]:
    """One row of HEADER's columns per recipe name, in the order given."""
    from paddle_pose.models.build import build
    from paddle_pose.models.counting import count

    table: list[tuple[str, ...]] = []
    for name in names:
        recipe = configs.load(name)
        size_wh = recipe.data.image_size_wh
        counts = count(build(recipe.model), size_wh)
        table.append(
            (
                name,
                f"{size_wh[0]}×{size_wh[1]}",
                f"{counts.parameters / 1e6:.2f}",
                f"{counts.macs / 1e9:.2f}",
                f"{counts.hrnet_gflops:.2f}",
            )
        )
    return table


def layer_rows(name: str, depth: int | None) -> list[tuple[str, ...]]:
    """One row per layer of LAYER_HEADER's columns, or per first ``depth`` words of their names."""
    from paddle_pose.models.build import build
    from paddle_pose.models.counting import count_layers, grouped

    recipe = configs.load(name)
    layers = count_layers(build(recipe.model), recipe.data.image_size_wh)
    total = sum(layer.macs for layer in layers)
    return [
        (
            layer.name,
            layer.kind,
            "×".join(map(str, layer.output)),
            f"{layer.parameters:,}",
            f"{layer.macs / 1e6:,.2f}",
            f"{100 * layer.macs / total:.2f}",
        )
        for layer in (layers if depth is None else grouped(layers, depth))
    ]


EXAMPLES = (
    "python -m paddle_pose count hrnet:w32_mpii_256x256",
    "python -m paddle_pose count hrnet:w32_mpii_256x256 --layers --depth 2",
    "python -m paddle_pose count --all",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table; Raises UserError for an unknown recipe or none at all."""
    parser = CommandLine(prog="python -m paddle_pose count", description=__doc__.splitlines()[0],
        examples=EXAMPLES)  # fmt: skip
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="family:name or a .yaml file")
    parser.add_argument("--all", action="store_true", help="every recipe")
    parser.add_argument("--layers", action="store_true", help="each layer, too")
    parser.add_argument("--depth", type=int, help="sum layers by the first so many words")
    options = parser.parse_args(arguments)
    if options.depth is not None and options.depth < 1:
        raise UserError(f"--depth {options.depth}: must be at least 1")
    runtime.import_paddle()

    names = configs.all_names() if options.all else list(map(configs.full_name, options.recipes))
    if not names:
        raise UserError(
            "no recipe: name some, for example hourglass:hourglass52_mpii_256x256, or --all"
        )
    _print([HEADER, *rows(names)])
    if options.layers or options.depth is not None:
        for name in names:
            print(f"\n{name}")
            _print([LAYER_HEADER, *layer_rows(name, options.depth)])


def _print(table: Sequence[tuple[str, ...]]) -> None:
    """Columns side by side, the first set left."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([row[0].ljust(len(first)), *rest]))
