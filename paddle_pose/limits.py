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
    "batch_memory": Limit(
        "a batch that needs", 90, "% of the memory there is", "the rest is Paddle's and the photos'"
    ),
    "file_name_bytes": Limit("a file name of", 255, "bytes", "Linux takes no longer one"),
}
"""Every limit by its key; ``LIMITS["nesting"].require(depth, "file: annotations[3]")``."""
