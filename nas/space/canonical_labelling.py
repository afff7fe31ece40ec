"""Canonical labelling of small directed graphs with labelled nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence


class Labelling:
    """Search for the numbering with the least list of edges, the same for all isomorphic graphs.

    Individualisation and refinement of colours, pruned by automorphisms that are found at equal leaves: McKay,
    "Practical graph isomorphism" (1981), without its node invariants, which graphs of about twenty nodes do not need.

    Args:
        labels: The label of each node.
        feeds: For each node its predecessors, with the number of parallel edges from each.
    """

    def __init__(self, labels: Sequence[list[str]], feeds: Sequence[Mapping[int, int]]) -> None:
        self._labels = labels
        self._predecessors = feeds
        self._successors: list[dict[int, int]] = [{} for _ in labels]
        for head, tails in enumerate(feeds):
            for tail, count in tails.items():
                self._successors[tail][head] = count
        self._leaves: dict[tuple[tuple[int, int, int], ...], tuple[list[int], list[int]]] = {}
        self._automorphisms: list[list[int]] = []

    def least(self) -> tuple[list[list[str]], tuple[tuple[int, int, int], ...]]:
        """The labels in canonical order, and the edges (tail, head, count) in those numbers."""
        ranks = {label: i for i, label in enumerate(sorted({tuple(label) for label in self._labels}))}
        self._descend([ranks[tuple(label)] for label in self._labels], [])
        edges = min(self._leaves)
        return [self._labels[node] for node in self._leaves[edges][0]], edges

    def _descend(self, colours: list[int], path: list[int]) -> int:
        """Explores the numberings below the individualised nodes `path`; returns the depth at which to go on."""
        colours = self._refined(colours)
        members = defaultdict(list)
        for node, colour in enumerate(colours):
            members[colour].append(node)
        tied = [colour for colour, nodes in members.items() if len(nodes) > 1]
        if not tied:
            return self._leaf(colours, path)
        tried: set[int] = set()
        for node in members[min(tied)]:
            if node in self._orbits(tried, path):
                continue
            tried.add(node)
            apart = [2 * colour + (other != node) for other, colour in enumerate(colours)]
            depth = self._descend(apart, [*path, node])
            if depth < len(path):
                return depth
        return len(path)

    def _refined(self, colours: list[int]) -> list[int]:
        """Colour refinement: splits colours by neighbours' colours until stable; numbers from 0 in canonical order."""
        while True:
            signatures = [
                (
                    colour,
                    tuple(sorted((colours[tail], count) for tail, count in self._predecessors[node].items())),
                    tuple(sorted((colours[head], count) for head, count in self._successors[node].items())),
                )
                for node, colour in enumerate(colours)
            ]
            ranks = {signature: i for i, signature in enumerate(sorted(set(signatures)))}
            if len(ranks) == len(set(colours)):
                return [ranks[signature] for signature in signatures]
            colours = [ranks[signature] for signature in signatures]

    def _leaf(self, colours: list[int], path: list[int]) -> int:
        order = sorted(range(len(colours)), key=colours.__getitem__)
        edges = tuple(
            sorted(
                (colours[tail], colours[head], n)
                for head, tails in enumerate(self._predecessors)
                for tail, n in tails.items()
            )
        )
        if edges not in self._leaves:
            self._leaves[edges] = order, path
            return len(path)
        # Two numberings with equal edges differ by an automorphism, so that the subtrees below the branch where they
        # part are equivalent, and the second need not be explored.
        same, other_path = self._leaves[edges]
        moved = dict(zip(same, order, strict=True))
        self._automorphisms.append([moved[node] for node in range(len(order))])
        return next(i for i, (one, other) in enumerate(zip(path, other_path, strict=True)) if one != other)

    def _orbits(self, nodes: set[int], path: list[int]) -> set[int]:
        """The orbits of `nodes` under the known automorphisms that fix `path`."""
        fixing = [moved for moved in self._automorphisms if all(moved[node] == node for node in path)]
        reached, new = set(nodes), list(nodes)
        while new:
            node = new.pop()
            for moved in fixing:
                if moved[node] not in reached:
                    reached.add(moved[node])
                    new.append(moved[node])
        return reached
