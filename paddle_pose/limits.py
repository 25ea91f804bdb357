"""What the project refuses to read or to build, each limit with its reason: one table.

``LIMITS`` is the table; code takes its numbers from here and nowhere else. ``docs/limits.md`` is
written from it (``python -m paddle_pose.limits``) and a test tries each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
            raise UserError(
                f"{where}: {self.what} {value:,.15g} {self.unit}; the limit is {self.text}"
            )

    @property
    def text(self) -> str:
        """``2,048 MiB``, ``64 levels``."""
        if self.unit == "bytes" and self.most % MIB == 0:
            return f"{self.most // MIB:,} MiB"
        return f"{self.most:,} {self.unit}"


LIMITS: dict[str, Limit] = {
    "json_bytes": Limit("JSON of", 4 * GIB, "bytes", "COCO's train2017 keypoints are 0.24 GiB"),
    "inflated_json_bytes": Limit(
        "compressed JSON that inflates to",
        512 * MIB,
        "bytes",
        "COCO's train2017 keypoints are 0.24 GiB; 2 MB can inflate to 2 GB",
    ),
    "nesting": Limit("nested", 64, "levels", "COCO's files nest 5 levels"),
    "pickle_steps": Limit(
        "a pickle of", 1_000_000, "steps", "HRNet-W48's training checkpoint has 200,000"
    ),
    "tensors": Limit("tensors:", 100_000, "in one file", "HRNet-W48's checkpoint has 6,000"),
    "tensor_bytes": Limit("tensors of", 4 * GIB, "bytes", "HRNet-W48 has 0.25 GiB"),
    "batch_memory": Limit(
        "a batch that needs", 90, "% of the memory there is", "the rest is Paddle's and the photos'"
    ),
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
    "path_bytes": Limit("a path of", 2000, "bytes", "Linux takes 4,096 with the folders before it"),
    "array_bytes": Limit(
        "a .mat or .h5 array of",
        512 * MIB,
        "bytes",
        "100,000 people of 133 joints are 0.3 GiB; 2 MB can inflate to 2 GB",
    ),
    "array_names": Limit("a .mat or .h5 file of", 10_000, "arrays", "MPII's truth has 10"),
    "archive_members": Limit(
        "an archive of",
        5_000_000,
        "files",
        "COCO's train2017 has 118,287; a listed one takes 0.2 KB",
    ),
    "image_file_bytes": Limit(
        "an image file of",
        512 * MIB,
        "bytes",
        "120 megapixels are 360 MB as they come from a camera without compression",
    ),
    "image_pixels": Limit(
        "an image of",
        120_000_000,
        "pixels",
        "phones' 12,000 × 9,000 pass; decoding twice as many can take 2 GiB",
    ),
    "page_boxes": Limit(
        "on the page", 100, "boxes", "each comes back with a picture for every joint's map"
    ),
    "far_px": Limit("a place or length of", 1_000_000, "px", "no image that is read is as large"),
}
"""Every limit by its key; ``LIMITS["nesting"].require(depth, "file: annotations[3]")``."""


def markdown() -> str:
    """``docs/limits.md``."""
    rows = [f"| {limit.what} | {limit.text} | {limit.why} |" for limit in LIMITS.values()]
    return "\n".join(
        [
            "# Limits",
            "",
            "What is larger is refused in one line, before memory or time goes into it. The table "
            "is `LIMITS` in `paddle_pose/limits.py`.",
            "",
            "| what | at most | why |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    Path("docs/limits.md").write_text(markdown(), encoding="utf-8")
