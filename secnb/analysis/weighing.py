"""Rows that do not count alike, in order; and sums over them, added up where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secnb.analysis.columns import Counts
from secnb.analysis.packing import BLOCK, blocks, position_type, positions
from secnb.analysis.units import Units


@dataclass(frozen=True, eq=False)
class Ranking:
    """The rows that can fire, by group and rising score, and the thresholds among them.

    Attributes
    ----------
    rows : ndarray of int, shape (n_ranked,)
        Their positions.
    ends : ndarray of int64, shape (n_groups,)
        Where the rows of each group end.
    threshold : ndarray of float64, shape (n_thresholds,)
        Distinct scores, ascending within a group, the last ``inf``.
    offsets : ndarray of int64, shape (n_groups + 1,)
        Where the thresholds of each group begin.
    fired : ndarray of int, shape (n_thresholds,)
        How many rows fire at each threshold: the last ones of its group.
    pieces : ndarray of int64, shape (n_pieces, 3)
        Group, first threshold and end of pieces that have about as many rows as a block; without ``inf``.
        Every group has one; a tie is never cut, however many rows it has.
    """

    rows: NDArray[np.integer]
    ends: NDArray[np.int64]
    threshold: NDArray[np.float64]
    offsets: NDArray[np.int64]
    fired: NDArray[np.integer]
    pieces: NDArray[np.int64]


def rank(units: Units) -> Ranking:
    """Sort the rows that can fire, and find the thresholds among them."""
    groups = _ordered(units)
    n_rows = sum(map(len, groups))
    threshold = np.empty(n_rows + units.n_groups)
    fired: NDArray[np.integer] = np.empty(len(threshold), dtype=position_type(n_rows))
    offsets, pieces, stop = [0], [], 0
    for group, rows in enumerate(groups):
        previous = np.nan
        for part in blocks(len(rows)):
            scores = units.scores[rows[part]] + 0.0
            is_first = np.empty(len(scores), dtype=np.bool_)
            is_first[0] = scores[0] != previous
            np.not_equal(scores[1:], scores[:-1], out=is_first[1:])
            first = np.flatnonzero(is_first)
            start, stop, previous = stop, stop + len(first), scores[-1]
            threshold[start:stop] = scores[first]
            fired[start:stop] = len(rows) - part.start - first
            if len(first):
                pieces.append((group, start, stop))
        if not len(rows):
            pieces.append((group, stop, stop))
        threshold[stop], fired[stop] = np.inf, 0
        stop += 1
        offsets.append(stop)
    if 2 * stop < len(threshold):
        threshold, fired = threshold[:stop].copy(), fired[:stop].copy()
    together = groups[0] if len(groups) == 1 else np.concatenate([np.empty(0, dtype=np.int32), *groups])
    return Ranking(
        rows=together,
        ends=np.cumsum([len(rows) for rows in groups], dtype=np.int64),
        threshold=threshold[:stop],
        offsets=np.array(offsets, dtype=np.int64),
        fired=fired[:stop],
        pieces=np.array(pieces, dtype=np.int64).reshape(-1, 3),
    )


def _ordered(units: Units) -> list[NDArray[np.integer]]:
    """Return the positions of the rows that can fire, group by group and by rising score."""
    is_swept = units.is_swept
    if units.n_groups == 1 and is_swept.all():
        # numpy gives positions of 64 bits; the half of it is kept.
        return [np.argsort(units.scores).astype(position_type(len(is_swept)))]
    groups = units.by_group(positions(is_swept))
    for rows in groups:
        # In place, so that nothing is held twice.
        rows[:] = rows[np.argsort(units.scores[rows])]
    return groups


class Sums:
    """What fires at every threshold, in sums over rows: few are kept, and the others follow when asked for.

    An array of them would take as much memory as the thresholds. It is read like one: ``sums[rows]``.

    Parameters
    ----------
    ranking : Ranking
        The rows in order.
    amounts : callable
        What some rows, given by their positions, add to the sums.
    dtype : numpy dtype
        That of the amounts.
    """

    def __init__(
        self, ranking: Ranking, amounts: Callable[[NDArray[np.integer]], Counts], dtype: np.dtype[np.generic]
    ) -> None:
        self._ranking, self._amounts = ranking, amounts
        self.dtype = dtype
        self._kept: Counts | None = None
        groups = ranking.pieces[:, 0]
        self._above: Counts = np.zeros(len(groups), dtype=dtype)
        for piece in np.flatnonzero(groups[1:] == groups[:-1])[::-1].tolist():
            self._above[piece] = self._piece(piece + 1)[0]
        # What is small is added up once and kept.
        self._kept = self[:] if len(ranking.threshold) <= 2 * BLOCK else None

    def __getitem__(self, rows: NDArray[np.integer] | slice) -> Counts:
        """Return the sums at some thresholds."""
        if self._kept is not None:
            return self._kept[rows].copy()
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self._ranking.threshold)))
        found = np.zeros(len(rows), dtype=self.dtype)
        starts = self._ranking.pieces[:, 1]
        piece = np.searchsorted(starts, rows, side="right") - 1
        order = np.argsort(piece, kind="stable")
        edges = np.searchsorted(piece[order], np.arange(len(starts) + 1))
        for each in np.flatnonzero(np.diff(edges)).tolist():
            asked = order[edges[each] : edges[each + 1]]
            found[asked] = self._piece(each)[rows[asked] - starts[each]]
        return found

    def _piece(self, piece: int) -> Counts:
        """Return the sums at the thresholds of a piece, and 0, which holds at ``inf``."""
        ranking = self._ranking
        group, start, stop = ranking.pieces[piece]
        found = np.zeros(stop - start + 1, dtype=self.dtype)
        if start < stop:
            end = ranking.ends[group]
            first = end - ranking.fired[start:stop]
            amounts = self._amounts(ranking.rows[first[0] : end - ranking.fired[stop]])
            if len(amounts) > len(first):
                amounts = np.add.reduceat(amounts, first - first[0], dtype=self.dtype)
            # From the top, since a difference of fractions would leave a residue where nothing fires.
            amounts[-1] += self._above[piece]
            np.cumsum(amounts[::-1], out=found[:-1][::-1])
        return found
