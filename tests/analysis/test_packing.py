"""Scores packed into whole numbers: back again unchanged, in the same order, in few bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secnb.analysis.packing import BLOCK, blocks, find_packing, order_of, positions

anything = st.lists(
    st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 5e-324, -np.inf, np.inf])), max_size=30
)


@given(anything)
def test_packed_scores_come_back_and_keep_their_order(values):
    scores = np.array(values, dtype=np.float64)
    packing = find_packing(scores, n_flags=0)
    known = scores[~np.isnan(scores)]
    packed = packing.pack(known)
    assert packing.unpack(packed).tolist() == known.tolist()
    assert (packed[:, None] < packed).tolist() == (known[:, None] < known).tolist()
    assert int(packed.max(initial=0)).bit_length() <= packing.n_bits


@given(anything, st.integers(1, 64))
def test_as_many_bits_are_free_as_were_asked_for_or_there_is_no_packing(values, n_flags):
    packing = find_packing(np.array(values, dtype=np.float64), n_flags=n_flags)
    assert packing is None or packing.n_bits + n_flags <= 64


@pytest.mark.parametrize(
    ("scores", "n_flags"),
    [
        (np.linspace(0, 1, 1001), 2),
        (np.linspace(0, 1, 10_001).round(4), 8),
        (np.arange(-100, 101), 40),
        (np.linspace(0, 1, 999).astype("float32"), 30),
        (np.random.default_rng(0).normal(0, 3, 1000), 4),
        (np.array([-np.inf, 0.5, np.inf]), 1),
    ],
    ids=["uniform", "four decimals", "whole numbers", "single precision", "logits", "infinite"],
)
def test_scores_as_they_occur_leave_room(scores, n_flags):
    assert find_packing(scores.astype(np.float64), n_flags=n_flags) is not None


def test_negative_zero_packs_like_zero():
    packing = find_packing(np.array([-0.0, -1.0, 1.0]), n_flags=0)
    assert packing.pack(np.array([-0.0])).tolist() == packing.pack(np.array([0.0])).tolist()


@pytest.mark.parametrize("n_rows", [0, 1, BLOCK, 3 * BLOCK + 1])
@pytest.mark.parametrize("n_numbers", [1, 5, 40_000])
def test_numbers_are_ordered_as_by_a_stable_sort(n_rows, n_numbers):
    numbers = np.random.default_rng(0).integers(0, n_numbers, n_rows).astype(np.uint16)
    order, edges = order_of(numbers, n_numbers)
    assert np.array_equal(order, np.argsort(numbers, kind="stable"))
    assert np.array_equal(edges, np.searchsorted(np.sort(numbers), np.arange(n_numbers + 1)))


@pytest.mark.parametrize("n_rows", [0, 1, BLOCK, 3 * BLOCK + 1])
def test_positions_are_where_flags_are_set(n_rows):
    flags = np.random.default_rng(0).random(n_rows) < 0.4
    assert np.array_equal(positions(flags), np.flatnonzero(flags))


@pytest.mark.parametrize("n_rows", [0, 1, BLOCK, BLOCK + 1])
def test_blocks_cover_all_rows_once(n_rows):
    assert [row for rows in blocks(n_rows) for row in range(n_rows)[rows]] == list(range(n_rows))
