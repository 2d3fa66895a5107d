"""The line that carries a picture: from the input to the output, drawn straight."""

from __future__ import annotations

import math

from tinygrad_edu.autograd.graph import Edge

from .view import View, in_order


def main_chain(view: View) -> list[str]:
    """Ids of the boxes from an input to the output, first to last.

    Walked back from the output. Where several operands lead back to an input, the line follows the one that carries a
    gradient, then the largest (x rather than its mean, the logits rather than their row sums), then the one with the
    longer way behind it (the block rather than its shortcut), then the first.
    """
    order = in_order(view.boxes, view.edges)
    incoming: dict[str, list[Edge]] = {box.id: [] for box in order}
    for edge in view.edges:
        incoming[edge.target].append(edge)
    starts = {box.id for box in order if box.role == "input"}
    if not starts:  # no input of its own: any node that nothing flows into, parameters last
        starts = {box.id for box in order if not incoming[box.id] and box.role != "parameter"}
    starts = starts or {box.id for box in order if not incoming[box.id]}
    depth: dict[str, int] = {}
    for box in order:
        ways = [depth[e.source] + 1 for e in incoming[box.id] if e.source in depth and not e.detached]
        if ways or box.id in starts:
            depth[box.id] = max(ways, default=0)

    ends = [output for output in view.outputs if output in depth] or list(view.outputs)
    order_of = {box.id: box.members[0].order for box in order}
    ends = [end for end in ends if order_of[end] == 0] or ends  # the line is that of the forward
    if not ends:
        return []
    here = max(ends, key=lambda output: depth.get(output, -1))
    chain, seen = [here], {here}
    while True:
        candidates = [
            edge for edge in incoming[here] if edge.source in depth and edge.source not in seen and not edge.detached
        ]
        if not candidates or (here in starts and depth[here] == 0):
            break
        here = max(candidates, key=lambda e: (e.gradient, math.prod(e.shape), depth[e.source])).source
        chain.append(here)
        seen.add(here)
    chain.reverse()
    return chain
