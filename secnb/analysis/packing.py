"""Scores as sortable whole numbers with room for flags in their lowest bits.

numpy sorts whole numbers many times as fast as it finds an order to apply to other arrays. So what is
known of a row travels with its score, in bits that the scores leave free. Nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 15
"""Rows that are worked on at a time, so that what is temporary stays in the processor's cache."""

_MAGNITUDE = np.int64(2**63 - 1)


def blocks(n_rows: int, size: int = BLOCK) -> Iterator[slice]:
    """Return slices that cover the rows, in order."""
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def position_type(n_rows: int) -> type[np.integer]:
    """Return the narrowest type that positions among so many rows fit in, and counts of them."""
    return np.int32 if n_rows < 2**31 else np.int64


def positions(flags: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Return where flags are set, in half the memory where that suffices."""
    found: NDArray[np.integer] = np.empty(np.count_nonzero(flags), dtype=position_type(len(flags)))
    stop = 0
    for rows in blocks(len(flags)):
        some = np.flatnonzero(flags[rows])
        start, stop = stop, stop + len(some)
        np.add(some, rows.start, out=found[start:stop], casting="unsafe")
    return found


def order_of(numbers: NDArray[np.integer], n_numbers: int) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Return positions by rising number, equal ones as they stand, and where those of each number begin.

    The numbers are below so many. This is a stable argsort that takes half the memory, by counting.
    """
    size = max(BLOCK, n_numbers)
    place = np.zeros(n_numbers + 1, dtype=np.int64)
    for part in blocks(len(numbers), size):
        place[1:] += np.bincount(numbers[part], minlength=n_numbers)
    edges = np.cumsum(place)
    place = edges[:-1].copy()
    found: NDArray[np.integer] = np.empty(len(numbers), dtype=position_type(len(numbers)))
    for part in blocks(len(numbers), size):
        order = np.argsort(numbers[part], kind="stable")
        n = np.bincount(numbers[part], minlength=n_numbers)
        # What is equal in this block goes behind what was equal in those before.
        found[np.repeat(place - np.cumsum(n) + n, n) + np.arange(len(order))] = order + part.start
        place += n
    return found, edges


@dataclass(frozen=True)
class Packing:
    """How scores become whole numbers of few bits, in the same order, and back.

    The bit pattern of a float without its sign grows with its magnitude. Trailing bits that no score has
    are dropped, and so is the gap between 0 and the least magnitude.

    Attributes
    ----------
    n_trailing : int
        Bits dropped at the right.
    gap : int
        What is taken off every magnitude but 0.
    lowest : int
        The smallest signed number, which becomes 0.
    n_bits : int
        Bits that the largest needs.
    has_negative : bool
        Whether any score is below 0.
    """

    n_trailing: int
    gap: int
    lowest: int
    n_bits: int
    has_negative: bool

    def pack(self, scores: NDArray[np.float64]) -> NDArray[np.uint64]:
        """Return the numbers of some scores, none of them NaN; -0.0 and 0.0 are the same."""
        bits = (scores + 0.0).view(np.int64)
        if not self.has_negative:
            return self._magnitudes(bits).view(np.uint64)
        numbers = self._magnitudes(bits & _MAGNITUDE)
        np.negative(numbers, out=numbers, where=bits < 0)
        return (numbers - self.lowest).view(np.uint64)

    def _magnitudes(self, bits: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.n_trailing:
            bits >>= self.n_trailing
        if self.gap:
            np.maximum(bits, self.gap, out=bits)
            bits -= self.gap
        return bits

    def unpack(self, packed: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return the scores of some numbers."""
        numbers = packed.view(np.int64) + self.lowest
        bits = np.abs(numbers)
        bits += np.where(bits > 0, self.gap, 0)
        bits <<= self.n_trailing
        scores = bits.view(np.float64)
        return np.copysign(scores, numbers, where=numbers < 0, out=scores)


def find_packing(scores: NDArray[np.float64], *, n_flags: int) -> Packing | None:
    """Return a packing that leaves so many bits free, or None where the scores are too different."""
    low, high = float(np.fmin.reduce(scores, initial=np.inf)), float(np.fmax.reduce(scores, initial=-np.inf))
    if low > high:
        return Packing(n_trailing=0, gap=0, lowest=0, n_bits=0, has_negative=False)
    # Looking at the ends alone is enough for most scores, and five times as fast.
    least = min(abs(low), abs(high)) if (low > 0) == (high > 0) and low and high else 0.0
    packing = _between(low, high, least=_pattern(least), n_trailing=0)
    if packing.n_bits + n_flags <= 64:
        return packing
    least_pattern, n_trailing = _look_closer(scores)
    packing = _between(low, high, least=least_pattern, n_trailing=n_trailing)
    return packing if packing.n_bits + n_flags <= 64 else None


def _between(low: float, high: float, *, least: int, n_trailing: int) -> Packing:
    gap = max((least >> n_trailing) - 1, 0)

    def number(score: float) -> int:
        magnitude = max((_pattern(abs(score)) >> n_trailing) - gap, 0)
        return -magnitude if score < 0 else magnitude

    lowest = min(number(low), 0)
    n_bits = (number(high) - lowest).bit_length()
    return Packing(n_trailing=n_trailing, gap=gap, lowest=lowest, n_bits=n_bits, has_negative=low < 0)


def _look_closer(scores: NDArray[np.float64]) -> tuple[int, int]:
    """Return the least pattern but 0, and how many trailing bits no pattern has."""
    least, used = int(_MAGNITUDE), 0
    for rows in blocks(len(scores)):
        bits = scores[rows].view(np.int64)[~np.isnan(scores[rows])] & _MAGNITUDE
        bits = bits[bits > 0]
        least = int(bits.min(initial=least))
        used |= int(np.bitwise_or.reduce(bits, initial=0))
    return (least if used else 0), (used & -used).bit_length() - 1 if used else 0


def _pattern(magnitude: float) -> int:
    return int(np.float64(magnitude).view(np.int64))
