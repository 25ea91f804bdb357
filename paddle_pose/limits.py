"""What the project refuses to read or to build, each limit with its reason: one table.

``LIMITS`` is the table; code takes its numbers from here and nowhere else. The docs' table is
generated from it and a test tries each.
"""

from __future__ import annotations

from dataclasses import dataclass

from paddle_pose.errors import UserError

MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Limit:
    """One limit.

    Attributes:
        what: what is limited, as a message says it.
        most: the largest value that is taken.
        unit: of ``most``.
        why: reason, for the docs.
    """

    what: str
    most: int
    unit: str
    why: str

    def require(self, value: float, where: str) -> None:
        """Raises UserError for a value above the limit (or a nan); ``where``: file and place."""
        if not value <= self.most:
            raise UserError(f"{where}: {self.what} {value:,} {self.unit}; the limit is {self.text}")

    @property
    def text(self) -> str:
        """``2,048 MiB``, ``64 levels``."""
        if self.unit == "bytes" and self.most % MIB == 0:
            return f"{self.most // MIB:,} MiB"
        return f"{self.most:,} {self.unit}"


LIMITS: dict[str, Limit] = {
    "json_bytes": Limit("JSON of", 4 * GIB, "bytes", "COCO's train2017 keypoints are 0.24 GiB"),
    "inflated_json_bytes": Limit(
        "compressed JSON that inflates to", GIB, "bytes", "2 MB can inflate to 2 GB"
    ),
    "nesting": Limit("nested", 64, "levels", "COCO's files nest 5 levels"),
    "file_name_bytes": Limit("a file name of", 255, "bytes", "Linux takes no longer one"),
    "name_bytes": Limit("a name of", 120, "bytes", "it becomes part of file names"),
    "recipe_bytes": Limit("a recipe of", MIB, "bytes", "the longest here has 4 KB"),
    "recipe_values": Limit(
        "a recipe of", 100_000, "values", "aliases in YAML can stand for billions of values"
    ),
    "parameters": Limit(
        "a network of about", 500_000_000, "parameters", "the largest recipe has 94 million"
    ),
    "seed": Limit("seed", 2**63 - 1, "(63 bits)", "Paddle's seeds have 64 bits"),
    "image_side_px": Limit("an input of", 4096, "pixels a side", "published inputs have 384"),
    "rendered_people": Limit("rendering", 1_000_000, "people", "MPII has 40,000"),
}
"""Every limit by its key; ``LIMITS["nesting"].require(depth, "file: annotations[3]")``."""
