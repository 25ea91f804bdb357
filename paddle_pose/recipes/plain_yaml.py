"""YAML as plain data, from files and options of users: no tricks, every mistake a line."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from paddle_pose.errors import UserError
from paddle_pose.limits import LIMITS

_LONGEST_INT_BITS = 256


class _Loader(yaml.SafeLoader):
    """YAML without what surprises: no dates, no base 8 or 60, no key twice, no endless aliases."""

    yaml_implicit_resolvers = {  # noqa: RUF012  PyYAML's own attribute
        first: [(tag, rule) for tag, rule in found if not tag.endswith((":timestamp", ":int"))]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        LIMITS["nesting"].require(self._depth, "YAML")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_document(self, node: yaml.Node) -> Any:
        values, depth = _extent(node, {})
        LIMITS["recipe_values"].require(values, "YAML with its aliases")
        LIMITS["nesting"].require(depth, "YAML with its aliases")
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise UserError(f"key '{key.value}' twice, again in line {key.start_mark.line + 1}")
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.Node) -> int:
        value = super().construct_yaml_int(node)
        if value.bit_length() > _LONGEST_INT_BITS:
            raise UserError(f"a number of {value.bit_length()} bits; use one of 64 at most")
        return value


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)\Z"),
    list("-+0123456789"),
)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _extent(node: yaml.Node, known: dict[int, tuple[float, float]]) -> tuple[float, float]:
    """How many values a node stands for, and how deep, aliases followed; inf for a circle."""
    if id(node) not in known:
        known[id(node)] = (math.inf, math.inf)  # until it is known, so that a circle is endless
        pairs = node.value if isinstance(node, yaml.CollectionNode) else ()
        inner = [one for pair in pairs for one in (pair if isinstance(pair, tuple) else (pair,))]
        counts, depths = zip((0, 0), *(_extent(one, known) for one in inner), strict=True)
        known[id(node)] = (1 + sum(counts), 1 + max(depths))
    return known[id(node)]


def parse(text: str | bytes) -> Any:
    """A text's plain data; bytes may be UTF-8 or, with a mark, UTF-16.

    Raises:
        UserError: not YAML, or more than a recipe can be; without the place of the text.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  a SafeLoader
    except yaml.MarkedYAMLError as error:
        place = f" in line {mark.line + 1}" if (mark := error.problem_mark) else ""
        raise UserError(f"{error.problem or error.context}{place}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(str(error)) from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise UserError(f"a value that is not what its tag says ({error})") from error


def read(path: Path) -> Any:
    """A file's plain data; Raises UserError with its path."""
    try:
        with path.open("rb") as file:
            content = file.read(LIMITS["recipe_bytes"].most + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot read this recipe file ({reason})") from error
    LIMITS["recipe_bytes"].require(len(content), str(path))
    try:
        return parse(content)
    except UserError as error:
        raise UserError(f"{path}: not valid YAML ({error})") from error
