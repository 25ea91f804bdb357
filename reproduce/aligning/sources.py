"""A Python file as data: which names it defines and imports, and its code as comparable text."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

Target = tuple[str, str | None]
"""What an import binds: a module, and the name in it; None for the module itself."""

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_IMPORTS = (ast.Import, ast.ImportFrom)
_NOT_RUN = ("annotation", "returns", "simple", "type_comment", "type_params")
"""Fields of a tree that are for type checkers."""


@dataclass(frozen=True)
class Module:
    """A file, read.

    Attributes:
        name: with its packages, separated by dots.
        package: what its relative imports begin at.
        file: where it is.
        statements: of each name that it defines; a field of a dataclass is one, ``Class.field``.
        imports: of each name that it imports to run.
    """

    name: str
    package: str
    file: Path
    statements: dict[str, list[ast.stmt]]
    imports: dict[str, Target]

    @classmethod
    def read(cls, name: str, file: Path) -> Module:
        """The module in a file."""
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        body = list(_running(ast.parse(file.read_bytes()).body))
        statements: dict[str, list[ast.stmt]] = {}
        imports: dict[str, Target] = {}
        for statement in body:
            for bound, target in bound_by([statement], package).items():
                if target is None:
                    statements.setdefault(bound, []).append(statement)
                else:
                    imports[bound] = target
        for statement in body:
            for changed in statements.keys() & set(_changed_by(statement)):
                if statement not in statements[changed]:
                    statements[changed].append(statement)
        for statement in body:
            if isinstance(statement, ast.ClassDef) and _is_dataclass(statement):
                statements |= _fields_apart(statement)
        return cls(name, package, file, statements, imports)


def _running(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements without those for type checkers."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from _running(node.orelse)
        else:
            yield node


def _is_dataclass(node: ast.ClassDef) -> bool:
    names = (ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list)
    return any(name.rpartition(".")[2] == "dataclass" for name in names)


def _fields_apart(node: ast.ClassDef) -> dict[str, list[ast.stmt]]:
    """A dataclass without its fields, and each field."""
    rest, found = copy.copy(node), {node.name: []}
    rest.body = []
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            found[f"{node.name}.{part.target.id}"] = [part]
        else:
            rest.body.append(part)
    return {**found, node.name: [rest]}


def bound_by(body: Sequence[ast.AST], package: str) -> dict[str, Target | None]:
    """Names that these nodes bind in their own scope, with the target of those they import."""
    found: dict[str, Target | None] = {}
    waiting, elsewhere = list(body), set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, _DEFINITIONS):
            found.setdefault(node.name, None)
            continue
        if isinstance(node, (ast.Lambda, *_COMPREHENSIONS)):
            waiting += [n.target for n in ast.walk(node) if isinstance(n, ast.NamedExpr)]
            continue
        if isinstance(node, _IMPORTS):
            found.update(_imported_by(node, package))
        elif isinstance(node, ast.Global):
            elsewhere.update(node.names)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.setdefault(node.id, None)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            found.setdefault(node.name, None)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            found.setdefault(node.rest, None)
        waiting += ast.iter_child_nodes(node)
    return {name: target for name, target in found.items() if name not in elsewhere}


def _imported_by(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, Target]]:
    """Name and target of everything that a statement imports."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            whole = alias.name if alias.asname else alias.name.partition(".")[0]
            yield alias.asname or whole, (whole, None)
        return
    module = node.module or ""
    if node.level:
        parents = package.split(".")
        above = parents[: len(parents) - node.level + 1]
        module = ".".join([*above, module] if module else above)
    for alias in node.names:
        yield alias.asname or alias.name, (module, alias.name)


def _changed_by(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement may change without binding them: ``TABLE[1] = 2``, ``add(TABLE)``."""
    if isinstance(statement, (*_DEFINITIONS, *_IMPORTS)) or is_text_alone(statement):
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Expr):
            yield from (name.id for name in ast.walk(node) if isinstance(name, ast.Name))
        elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            root: ast.expr = node
            while isinstance(root, ast.Attribute | ast.Subscript):
                root = root.value
            if isinstance(root, ast.Name):
                yield root.id


def raised(node: ast.Raise) -> ast.expr | None:
    """The class of an exception, without what it is told."""
    return node.exc.func if isinstance(node.exc, ast.Call) else node.exc


def is_text_alone(node: object) -> bool:
    """A docstring, of a constant too."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def tree(nodes: Sequence[ast.AST], texts: dict[int, str] | None = None) -> str:
    """The code as Python understands it, equal under every version of Python.

    Without docstrings, annotations, imports and what exceptions are told. ``ast.dump`` will not do:
    newer versions add fields, which are empty in older code.

    Args:
        nodes: of a syntax tree.
        texts: by the ``id`` of a node inside, what stands in its place.
    """
    return _dump(list(nodes), texts or {})


def _dump(node: object, texts: dict[int, str]) -> str:
    if isinstance(node, list):
        kept = (n for n in node if not is_text_alone(n) and not isinstance(n, _IMPORTS))
        return f"[{','.join(_dump(child, texts) for child in kept)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if id(node) in texts:
        return f"<{texts[id(node)]}>"
    if isinstance(node, ast.Raise):
        return f"Raise({_dump(raised(node), texts)})"
    fields = ((name, value) for name, value in ast.iter_fields(node) if name not in _NOT_RUN)
    said = (f"{name}={_dump(value, texts)}" for name, value in fields if value not in (None, []))
    return f"{type(node).__name__}({','.join(said)})"
