"""FER+'s label rules one face at a time, slowly, straight from their description."""

from __future__ import annotations

from collections.abc import Sequence


def shares_of(counts: Sequence[float]) -> list[float] | None:
    """Cut off unknown and NF and renormalise, or None if one of them leads."""
    if not sum(counts) or max(range(10), key=lambda i: (counts[i], -i)) >= 8:
        return None
    return [c / sum(counts[:8]) for c in counts[:8]]


def reference(votes: Sequence[int], rule: str) -> list[float] | None:
    """Shares of eight emotions, or None if the face is dropped."""
    votes = list(votes)
    if rule == "argmax":
        return shares_of([int(i == votes.index(max(votes))) for i in range(10)])
    if rule == "argmax8":
        best = votes.index(max(votes[:8]))
        return [float(i == best) for i in range(8)]
    votes = [0 if v < 2 else v for v in votes]
    total = sum(votes)
    if rule == "majority":
        return shares_of([v if v > total / 2 else 0 for v in votes])
    if rule == "multi_target":
        taken = [v if v >= 0.3 * total else 0 for v in votes]
        shares = shares_of(taken) if sum(taken) > total / 2 else None
        return shares and [float(s > 0) / sum(s > 0 for s in shares) for s in shares]
    left, taken, integrated, count, ended = dict(enumerate(votes)), {}, 0, 0, False
    while integrated < 0.75 * total and count < 3 and not ended:
        peak = max(left.values())
        for column in [c for c, v in left.items() if v == peak]:
            preceded = bool(taken)
            taken[column] = left.pop(column)
            integrated += peak
            count += 1
            if column >= 8:
                ended = True
                if preceded:
                    del taken[column]
                    count -= 1
                break
    if sum(taken.values()) <= total / 2 or count > 3:
        return None
    return shares_of([taken.get(i, 0) for i in range(10)])
