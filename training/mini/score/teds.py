"""Tables compared as trees: TEDS (Zhong et al. 2020, "Image-based table recognition").

One minus the edit distance of the trees over the larger one's nodes; a cell's text costs its normalized edit distance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np

from training.common.measure import edit_distance


@dataclass
class Node:
    """A table, one of its rows, or a cell with its text; `tag` names spans as well."""

    tag: str
    text: str = ""
    children: list[Node] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.table = Node("table")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A row or a cell begins."""
        if tag == "tr":
            self.table.children.append(Node("tr"))
        elif tag in ("td", "th") and self.table.children:
            spans = sorted((name, value) for name, value in attrs if name in ("colspan", "rowspan") and value != "1")
            self.table.children[-1].children.append(Node(f"td{spans}"))

    def handle_data(self, data: str) -> None:
        """Text of a cell."""
        if self.table.children and self.table.children[-1].children:
            self.table.children[-1].children[-1].text += data


def parse_table(html: str) -> Node:
    """The tree of a table's HTML."""
    reader = _Reader()
    reader.feed(html)
    return reader.table


def teds(read: str, truth: str) -> float:
    """Likeness of two tables in HTML, 0 to 1."""
    first, second = _ordered(parse_table(read)), _ordered(parse_table(truth))
    most = max(len(first.nodes), len(second.nodes))
    return max(0.0, 1 - _distance(first, second) / most)


@dataclass
class _Ordered:
    """Nodes in postorder, the leftmost leaf below each, and the roots of Zhang and Shasha's subproblems."""

    nodes: list[Node]
    leftmost: list[int]
    roots: list[int]


def _ordered(tree: Node) -> _Ordered:
    nodes: list[Node] = []
    leftmost: list[int] = []

    def visit(node: Node) -> int:
        firsts = [visit(child) for child in node.children]
        nodes.append(node)
        leftmost.append(firsts[0] if firsts else len(nodes) - 1)
        return leftmost[-1]

    visit(tree)
    roots = {left: place for place, left in enumerate(leftmost)}
    return _Ordered(nodes, leftmost, sorted(roots.values()))


def _distance(first: _Ordered, second: _Ordered) -> float:
    """Zhang and Shasha 1989."""
    trees = np.zeros((len(first.nodes), len(second.nodes)))
    for root in first.roots:
        for other in second.roots:
            _fill(first, second, root, other, trees)
    return float(trees[-1, -1])


def _fill(first: _Ordered, second: _Ordered, root: int, other: int, trees: np.ndarray) -> None:  # type: ignore[type-arg]
    left, top = first.leftmost[root], second.leftmost[other]
    rows, columns = root - left + 2, other - top + 2
    forest = np.zeros((rows, columns))
    forest[:, 0], forest[0, :] = np.arange(rows), np.arange(columns)
    for row in range(1, rows):
        for column in range(1, columns):
            at, to = left + row - 1, top + column - 1
            least = min(forest[row - 1, column], forest[row, column - 1]) + 1
            if first.leftmost[at] == left and second.leftmost[to] == top:
                changed = forest[row - 1, column - 1] + _change(first.nodes[at], second.nodes[to])
                forest[row, column] = trees[at, to] = min(least, changed)
            else:
                apart = forest[first.leftmost[at] - left, second.leftmost[to] - top] + trees[at, to]
                forest[row, column] = min(least, apart)


def _change(node: Node, other: Node) -> float:
    if node.tag != other.tag:
        return 1.0
    longest = max(len(node.text), len(other.text))
    return edit_distance(node.text, other.text) / longest if longest else 0.0
