"""What a function, class or constant needs to run, found in the source; nothing is imported.

Names are followed from definition to definition, through the imports of a package. A digest is of
the code of all that is reached, so it stays where a definition moves to another file, where an
import is called otherwise, and where something is added that nothing reached asks for.

A class that is reached counts with all its methods; a field of a dataclass only where something
reached asks an object for that name. Annotations are not followed, and a method of an argument
cannot be: its class must be made by something reached, or be a root.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from paddle_pose.errors import UserError
from reproduce.aligning.sources import Module, Target, bound_by, raised, tree


class Definition(NamedTuple):
    """A name of a module: a function, a class or a constant; or ``Class.field`` of a dataclass."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Found(NamedTuple):
    """What a chain of names like ``layout.pack`` stands for.

    Attributes:
        used: how many names of the chain it takes; those after are its attributes.
        text: its name, wherever it is defined and however its import is called.
        definition: if it is one of the package.
        module: if the whole chain names one of the package.
    """

    used: int
    text: str
    definition: Definition | None = None
    module: str | None = None


class Package:
    """The definitions of a package.

    Args:
        folder: that the package lies in.
        name: of the package.
        without: dotted names that are not followed: definitions, or modules with all below them.
    """

    def __init__(self, folder: Path, name: str, without: Sequence[str] = ()) -> None:
        self._folder, self._name, self._without = folder, name, tuple(without)
        self.module = functools.cache(self._module)
        self._references = functools.cache(self._read_references)
        self._needs = functools.cache(self._find_needs)
        self._asked = functools.cache(self._find_asked)
        self._own_digest = functools.cache(self._make_own_digest)

    def _module(self, name: str) -> Module | None:
        """The module of that name; None if it is not of this package."""
        if name != self._name and not name.startswith(f"{self._name}."):
            return None
        path = self._folder.joinpath(*name.split("."))
        files = (path / "__init__.py", path.with_name(f"{path.name}.py"))
        return next((Module.read(name, file) for file in files if file.is_file()), None)

    def find(self, target: str) -> Definition:
        """The definition that ``package.module.name`` imports.

        Raises:
            UserError: there is none.
        """
        home, _, name = target.rpartition(".")
        module = self.module(home)
        found = self.lookup(module, [name]) if module else None
        if found is None or found.definition is None:
            raise UserError(f"{target}: no such function, class or constant")
        return found.definition

    def lookup(self, module: Module, names: Sequence[str]) -> Found | None:
        """What a chain of names means in a module; None for names that it does not know."""
        name, *rest = names
        if name in module.statements:
            return Found(1, name, Definition(module.name, name))
        target = module.imports.get(name)
        if target in (None, (module.name, name)):
            inside = f"{module.name}.{name}"
            target = (inside, None) if self.module(inside) else None
        return None if target is None else self._import(target, rest)

    def _import(self, target: Target, rest: Sequence[str]) -> Found:
        """What an imported name with the attributes ``rest`` is."""
        home, name = target
        module = self.module(home)
        names = [name, *rest] if name else list(rest)
        if module is None:
            return Found(1 + len(rest), ".".join([home, *names]))
        if not names:
            return Found(1, home.rpartition(".")[2], module=home)
        found = self.lookup(module, names)
        if found is None:  # made when the module runs
            return Found(1 + len(rest), ".".join(names))
        return found if name else found._replace(used=found.used + 1)

    def reached(self, roots: Iterable[str]) -> frozenset[Definition]:
        """The roots, named as ``find`` takes them, and all that they need."""
        waiting, reached = [self.find(root) for root in roots], set()
        while waiting:
            definition = waiting.pop()
            if definition not in reached:
                reached.add(definition)
                waiting += self._needs(definition)
            if not waiting:
                asked = self.attributes(reached)
                fields = (field for owner in reached for field in self._fields(owner))
                names = (field for field in fields if field.name.rpartition(".")[2] in asked)
                waiting = [field for field in names if field not in reached]
        return frozenset(reached)

    def digest(self, reached: Iterable[Definition]) -> str:
        """Of these, each with what it refers to, in no order; hexadecimal digits."""
        linked = []
        for definition in reached:
            needs = [self._own_digest(needed) for needed in self._needs(definition)]
            linked.append(_sha256(" ".join([self._own_digest(definition), *needs])))
        return _sha256(" ".join(sorted(linked)))

    def attributes(self, reached: Iterable[Definition]) -> set[str]:
        """Every name that these ask an object for."""
        return set().union(*(self._asked(definition) for definition in reached))

    def lines(self, reached: Iterable[Definition]) -> dict[Path, set[int]]:
        """The lines of these in each file."""
        found: dict[Path, set[int]] = {}
        for definition in reached:
            lines = found.setdefault(self._home(definition).file, set())
            for node in self._statements(definition):
                first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
                lines.update(range(first, (node.end_lineno or first) + 1))
        return found

    def _home(self, definition: Definition) -> Module:
        module = self.module(definition.module)
        if module is None:
            raise KeyError(definition.module)
        return module

    def _statements(self, definition: Definition) -> list[ast.stmt]:
        return self._home(definition).statements[definition.name]

    def _fields(self, owner: Definition) -> Iterator[Definition]:
        prefix = f"{owner.name}."
        names = (name for name in self._home(owner).statements if name.startswith(prefix))
        return (Definition(owner.module, name) for name in names)

    def _find_needs(self, definition: Definition) -> list[Definition]:
        """What it refers to, in the order of its lines."""
        needs = []
        for _, found in self._references(definition):
            if found.module and (module := self.module(found.module)):
                # The module itself is handed on: anything in it may be asked for.
                names = sorted(name for name in module.statements if "." not in name)
                needs += [Definition(module.name, name) for name in names]
            elif found.definition:
                needs.append(found.definition)
        return [one for one in needs if one != definition and self._is_followed(one)]

    def _find_asked(self, definition: Definition) -> set[str]:
        nodes = (node for one in self._statements(definition) for node in ast.walk(one))
        return {node.attr for node in nodes if isinstance(node, ast.Attribute)}

    def _is_followed(self, definition: Definition) -> bool:
        return not any(f"{definition}.".startswith(f"{name}.") for name in self._without)

    def _read_references(self, definition: Definition) -> list[tuple[ast.expr, Found]]:
        reader = _Reader(self, self._home(definition))
        for statement in self._statements(definition):
            reader.visit(statement)
        return reader.found

    def _make_own_digest(self, definition: Definition) -> str:
        texts = {id(node): found.text for node, found in self._references(definition)}
        return _sha256(f"{definition.name} {tree(self._statements(definition), texts)}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class _Reader(ast.NodeVisitor):
    """Collects, from code that runs, the chains of names that begin outside a function."""

    def __init__(self, package: Package, module: Module) -> None:
        self.found: list[tuple[ast.expr, Found]] = []
        self._package, self._module = package, module
        self._scopes: list[tuple[bool, dict[str, Target | None]]] = []

    def _meaning(self, names: list[str]) -> Found | None:
        for depth, (of_class, bound) in enumerate(reversed(self._scopes)):
            # Methods do not see the names of their class.
            if names[0] not in bound or (of_class and depth):
                continue
            target = bound[names[0]]
            if target is None:
                return None
            local = replace(self._module, statements={}, imports={names[0]: target})
            return self._package.lookup(local, names)
        return self._package.lookup(self._module, names)

    def _chain(self, node: ast.expr) -> None:
        nodes = [node]
        while isinstance(nodes[-1], ast.Attribute):
            nodes.append(nodes[-1].value)
        first, *attributes = reversed(nodes)
        if not isinstance(first, ast.Name):
            self.visit(first)
            return
        names = [first.id, *(n.attr for n in attributes if isinstance(n, ast.Attribute))]
        found = self._meaning(names)
        if found is not None:
            self.found.append(([first, *attributes][found.used - 1], found))

    visit_Attribute = visit_Name = _chain

    def _visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def _visit_inside(
        self, bound: dict[str, Target | None], nodes: Iterable[ast.AST], *, of_class: bool = False
    ) -> None:
        self._scopes.append((of_class, bound))
        self._visit_all(nodes)
        self._scopes.pop()

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self._visit_all(getattr(node, "decorator_list", ()))
        self._visit_all([*node.args.defaults, *node.args.kw_defaults])
        body = node.body if isinstance(node.body, list) else [node.body]
        bound: dict[str, Target | None] = dict.fromkeys(
            one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)
        )
        self._visit_inside({**bound, **bound_by(body, self._module.package)}, body)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all([*node.decorator_list, *node.bases, *node.keywords])
        bound = bound_by(node.body, self._module.package)
        self._visit_inside(bound, node.body, of_class=True)

    def _comprehension(self, node: ast.ListComp) -> None:
        bound = bound_by([one.target for one in node.generators], self._module.package)
        self._visit_inside(bound, ast.iter_child_nodes(node))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_all([node.target, node.value])

    def visit_Raise(self, node: ast.Raise) -> None:
        self._visit_all([raised(node)])
