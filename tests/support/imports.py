"""What the sources of a checkout import of each other, read from their syntax: nothing is imported for it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """A module and what it imports, by their dotted names: for `from a import b` that is `a.b`."""

    importer: str
    imported: str
    place: str
    """The file and its line."""

    def __str__(self) -> str:
        return f"{self.place}: {self.importer} imports {self.imported}"


def find_imports(root: Path, folders: Mapping[str, str]) -> list[Import]:
    """The imports of every source, those within functions and for type checkers alone too.

    `folders` has the folder of each package under `root`. Raises `ValueError` for a relative import.
    """
    return [
        found
        for package, folder in folders.items()
        for path in sorted((root / folder).rglob("*.py"))
        for found in _imports_of(path, _module_name(path.relative_to(root / folder), package), root)
    ]


def is_within(module: str, packages: Collection[str]) -> bool:
    """Whether a module is one of these, or inside one of them.

    >>> is_within("ocrvl.wire.Model", ["ocrvl.wire"]), is_within("ocrvl.wires", ["ocrvl.wire"])
    (True, False)
    """
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def find_circle(imports: Collection[Import]) -> list[str]:
    """Modules or packages beside each other that import each other in a circle; none where there is no circle."""
    modules = {one.importer for one in imports}
    beside: dict[str, dict[str, set[str]]] = {}
    for one in imports:
        # a name that is no module is defined in the package that holds it
        imported = one.imported if one.imported in modules else one.imported.rpartition(".")[0]
        parent, importer, other = _siblings(one.importer, imported)
        if importer and other and importer != other:
            beside.setdefault(parent, {}).setdefault(importer, set()).add(other)
    for parent, graph in beside.items():
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            return [f"{parent}.{name}" for name in error.args[1]]
    return []


def _imports_of(path: Path, module: str, root: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ValueError(f"{path}:{node.lineno}: a relative import")
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            yield Import(module, name, f"{path.relative_to(root)}:{getattr(node, 'lineno', 0)}")


def _module_name(path: Path, package: str) -> str:
    parts = [package, *path.with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _siblings(module: str, other: str) -> tuple[str, str, str]:
    """The innermost package that holds both, and their names in it; empty for the package itself."""
    parts, others = module.split("."), other.split(".")
    shared = 0
    while shared < min(len(parts), len(others)) and parts[shared] == others[shared]:
        shared += 1
    return ".".join(parts[:shared]), "".join(parts[shared : shared + 1]), "".join(others[shared : shared + 1])
