"""Which vertex of one graph is which of another: matched by structure, in four rounds from the strictest."""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Hashable

from tinygrad_edu.autograd.graph import Graph, Vertex

ALIGNED = 2_000  # vertices left on a side that the last round, which is quadratic, still aligns

Sources = dict[str, list[tuple[str, str]]]  # target -> (input, source), in order


def matched(a: Graph, b: Graph) -> dict[str, str]:
    """Id in `b` -> id in `a`; no id occurs twice.

    1. equal subgraphs: the same op on the same operands, down to leaves of the same name;
    2. operands of what is matched, in the same place of the same op (a renamed leaf, a changed beginning);
    3. the same op on a matched operand (a changed end);
    4. what is left, aligned in order of execution.
    """
    return _Matching(a, b).run()


class _Matching:
    def __init__(self, a: Graph, b: Graph) -> None:
        self.a, self.b = a, b
        self.of_a = {v.id: v for v in a.vertices}
        self.of_b = {v.id: v for v in b.vertices}
        self.sources_a, self.sources_b = _sources(a), _sources(b)
        self.pairs: dict[str, str] = {}
        self.taken: set[str] = set()

    def run(self) -> dict[str, str]:
        """All four rounds; what is found in one leads further in the second."""
        self._equal_subgraphs()
        for mine, theirs in zip(self.b.outputs, self.a.outputs, strict=False):
            self._pair(mine, theirs)
        self._operands()
        self._uses()
        self._operands()
        self._aligned()
        self._operands()
        return self.pairs

    def _pair(self, mine: str, theirs: str) -> bool:
        free = mine not in self.pairs and theirs not in self.taken
        if not free or _kind(self.of_b[mine]) != _kind(self.of_a[theirs]):
            return False
        self.pairs[mine] = theirs
        self.taken.add(theirs)
        return True

    def _equal_subgraphs(self) -> None:
        numbers: dict[Hashable, int] = {}
        waiting: dict[int, deque[str]] = {}
        for key, id in _subgraphs(self.a, self.sources_a, numbers):
            waiting.setdefault(key, deque()).append(id)
        for key, id in _subgraphs(self.b, self.sources_b, numbers):
            if waiting.get(key):
                self._pair(id, waiting[key].popleft())

    def _operands(self) -> None:
        queue = deque(self.pairs.items())
        while queue:
            mine, theirs = queue.popleft()
            for (name, left), (other, right) in zip(self.sources_b[mine], self.sources_a[theirs], strict=False):
                if name == other and self._pair(left, right):
                    queue.append((left, right))

    def _uses(self) -> None:
        users: dict[tuple[str, str, Hashable], deque[str]] = {}
        for v in self.a.vertices:
            for name, source in self.sources_a[v.id]:
                users.setdefault((source, name, _kind(v)), deque()).append(v.id)
        for v in self.b.vertices:
            for name, source in self.sources_b[v.id]:
                waiting = users.get((self.pairs.get(source, ""), name, _kind(v)))
                while waiting and waiting[0] in self.taken:
                    waiting.popleft()
                if waiting and v.id not in self.pairs:
                    self._pair(v.id, waiting.popleft())

    def _aligned(self) -> None:
        left = [v for v in self.a.vertices if v.id not in self.taken and v.op]
        right = [v for v in self.b.vertices if v.id not in self.pairs and v.op]
        if max(len(left), len(right)) > ALIGNED:
            return
        finder = difflib.SequenceMatcher(None, [_kind(v) for v in left], [_kind(v) for v in right], autojunk=False)
        for i, j, size in finder.get_matching_blocks():
            for k in range(size):
                self._pair(right[j + k].id, left[i + k].id)


def _kind(v: Vertex) -> Hashable:
    """What two vertices must share to be the same; the shape may have changed."""
    if not v.op:
        return ("leaf", v.role, v.title if v.role == "constant" and v.shape == () else "")
    return (v.op, tuple(sorted(v.details.items())), v.order)


def _sources(graph: Graph) -> Sources:
    found: Sources = {v.id: [] for v in graph.vertices}
    for edge in graph.edges:
        found[edge.target].append((edge.input, edge.source))
    return found


def _subgraphs(graph: Graph, sources: Sources, numbers: dict[Hashable, int]) -> list[tuple[int, str]]:
    """A number for each vertex that says all of the subgraph behind it."""
    number: dict[str, int] = {}
    for v in graph.vertices:  # sources come first
        operands = tuple((name, number.get(source, -1)) for name, source in sources[v.id])
        key = (_kind(v), v.name if not v.op else "", operands)
        number[v.id] = numbers.setdefault(key, len(numbers))
    return [(number[v.id], v.id) for v in graph.vertices]
