"""What to label next: samples with known probabilities, so that what is estimated from the labels holds."""

from __future__ import annotations

import secrets
import warnings
from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb.analysis.columns import read_column, read_frame, read_scores
from secnb.analysis.inclusion import Flags, Numbers, draw_systematically, favour_near, of_wave, raise_chances
from secnb.analysis.localdays import TIME_COLUMNS
from secnb.errors import BadInputError, SecnbWarning, UnknownColumnError

_DESIGNS = ("audit", "near")
_IDS = ("event_id", "detection_id")
_SCORES = ("score", "confidence")
_TRUTHS = ("truth", "is_true")


class DrawLog(Protocol):
    """What is asked of a store: `secnb.LabelStore`, or anything that remembers as it does."""

    def labels(self) -> pd.DataFrame:
        """Return one row per unit that somebody verified, by event_id or detection_id."""

    def chances(self) -> pd.DataFrame:
        """Return event_id, detection_id, probability, wave and design; ``attrs["n_waves"]``."""

    def log_wave(self, units: pd.DataFrame, *, after: int, design: str, seed: int) -> None:
        """Store event_id or detection_id, probability and is_drawn of what a draw could have taken."""


def label_next(
    frame: pd.DataFrame,
    n: int,
    *,
    store: DrawLog,
    design: Literal["audit", "near"] = "audit",
    score: str | None = None,
    above: float | None = None,
    near: float | None = None,
    seed: int | None = None,
) -> pd.DataFrame:
    r"""`n` rows to label next: a sample whose probabilities the store remembers, in random order.

    Rows with truth, and units on which the store has a verdict, are not drawn. What was drawn before and
    is not labelled yet comes first, so that running a cell twice draws nothing new: a sample that is
    labelled in part is no sample. With fewer rows left than `n`, all of them come.

    Give each call the whole frame, labelled rows too: their probabilities go on rising as those of their
    like do.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per unit, with ``event_id`` (``site.labelled_events(labels=store)``) or else
        ``detection_id``. Truth stands in ``truth`` or ``is_true``. It is not changed. Rows without a
        score are left out.
    n : int
        How many rows, at least 1.
    store : LabelStore
        Where the draw is stored before this returns.
    design : {"audit", "near"}
        "audit": the same probability for all, which is what a guarantee needs. "near": most for scores
        near the decision, where a label tells most about recall and precision there.
    score : str, optional
        The column of scores; by default ``score``, else ``confidence``.
    above : float, optional
        Only units with ``score >= above``.
    near : float, optional
        The threshold in question; needed by the design "near", and by no other.
    seed : int, optional
        The same seed, store and frame give the same draw. By default a new one, which the store keeps.

    Returns
    -------
    pandas.DataFrame
        Rows of `frame` with their index, and the columns ``design`` and ``probability``: that of being
        labelled by now, over all waves, once what was drawn is labelled. It rises with later waves, so
        give a sweep the one in ``store.labels()`` (``verified_probability`` in labelled events).

    Raises
    ------
    BadInputError
        If an argument has a value that is not allowed, or an id is missing or stands twice.
    UnknownColumnError
        If the frame has neither ids nor, where they are needed, scores.

    Warns
    -----
    SecnbWarning
        If units were drawn before and the frame has none of them.

    Notes
    -----
    In wave k a unit that was not drawn before is drawn with probability p_k, and all p_k add up to n. Its
    probability by now is

    .. math:: \pi_k = 1 - (1 - p_1) \cdots (1 - p_k), \quad \pi_k = \max(\pi_{k-1}, \min(1, \lambda_k f))

    where f is 1 for "audit". For "near" it is exp(-d / 0.2), d being the share of units between the score
    and `near`, so that only the order of the scores counts; half of that from `near` on, since below it
    the misses hide; and never less than 0.1. The level lambda_k follows from n: units that earlier waves
    favoured wait until the others have caught up, and several audits together are one audit. The draw is
    systematic along the scores with a random start, which takes exactly n and spreads them over all
    scores. A unit that was labelled before the first draw that could have taken it has probability 1; one
    that was labelled later without being drawn has none, and stands for itself in a sweep.

    References
    ----------
    Madow, W. G. (1949). On the theory of systematic sampling, II. Ann. Math. Stat. 20, 333-354.
    Tille, Y. (2006). Sampling Algorithms, sections 3.1 and 7.1.

    Examples
    --------
    >>> from secnb import LabelStore
    >>> import tempfile
    >>> frame = pd.DataFrame({"event_id": range(1, 101), "score": [i / 100 for i in range(100)]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = LabelStore(f"{folder}/labels.sqlite")
    ...     drawn = label_next(frame, 20, store=store, seed=7)
    >>> len(drawn), drawn["probability"].unique().round(9).tolist()
    (20, [0.2])
    """
    seed = _checked(n, design, near, seed)
    _check_number("above", above)
    if not hasattr(store, "log_wave"):
        raise BadInputError(f"store is {store!r}. Allowed: a LabelStore.", hint="secnb.LabelStore(path)")
    units = _read_units(read_frame(frame), store, score=score, above=above, near=near)
    # A later wave with the same seed must not draw with the same numbers.
    generator = np.random.default_rng([seed, units.n_waves])
    waiting = np.flatnonzero(units.is_drawn & ~units.is_labelled)
    order = [generator.permutation(waiting)[:n]]
    n_new = min(n - len(order[0]), int(units.is_open.sum()))
    chance, designs = units.chance, units.designs
    if n_new > 0:
        chance = _by_now(units, n_new)
        rows = np.flatnonzero(units.is_open)
        in_this_wave = of_wave(chance[rows], units.chance[rows])
        taken = rows[
            draw_systematically(in_this_wave, n_new, along=units.position[rows], generator=generator)
        ]
        units.log(store, chance, taken, design=design, seed=seed)
        order.append(generator.permutation(taken))
        designs = np.where(units.is_drawn, designs, design)
    rows = np.concatenate(order)
    drawn = frame.iloc[rows].copy()
    return drawn.assign(design=pd.array(designs[rows], dtype="str"), probability=chance[rows])


@dataclass(frozen=True, eq=False)
class _Units:
    """The rows of a frame as a draw sees them; one entry per row in every array here."""

    ids: pd.Series
    is_labelled: Flags
    # Before this draw.
    chance: Numbers
    is_drawn: Flags
    designs: NDArray[np.object_]
    # Probabilities of one wave are proportional to it, up to 1; 0 where the wave does not go.
    favour: Numbers
    # Where the rows stand along the scores.
    position: Numbers
    # Drawn before, and there to be drawn now had it not been.
    is_still_there: Flags
    n_waves: int

    @property
    def is_open(self) -> Flags:
        """Which rows can be drawn."""
        return ~self.is_labelled & ~self.is_drawn & (self.favour > 0)

    def log(
        self, store: DrawLog, chance: Numbers, taken: NDArray[np.intp], *, design: str, seed: int
    ) -> None:
        is_drawn = np.zeros(len(self.ids), dtype=np.bool_)
        is_drawn[taken] = True
        changed = pd.DataFrame({self.ids.name: self.ids, "probability": chance, "is_drawn": is_drawn})
        store.log_wave(changed[chance != self.chance], after=self.n_waves, design=design, seed=seed)


def _checked(n: int, design: str, near: float | None, seed: int | None) -> int:
    """Return the seed; raise where an argument has a value that is not allowed."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise BadInputError(f"n is {n!r}. Allowed: whole numbers from 1.")
    if design not in _DESIGNS:
        raise BadInputError(f"design is {design!r}. Allowed: {', '.join(map(repr, _DESIGNS))}.")
    _check_number("near", near)
    if (design == "near") != (near is not None):
        raise BadInputError(
            f"design={design!r} with near={near!r} is not allowed.",
            hint='near= is the threshold that design="near" draws around; an audit has none',
        )
    if seed is None:
        return secrets.randbits(32)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise BadInputError(f"seed is {seed!r}. Allowed: whole numbers from 0.")
    return int(seed)


def _check_number(name: str, value: object) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool) and value == value
    if value is not None and not is_number:
        raise BadInputError(f"{name} is {value!r}. Allowed: numbers.")


def _read_units(
    frame: pd.DataFrame, store: DrawLog, *, score: str | None, above: float | None, near: float | None
) -> _Units:
    has_truth = _has_truth(frame)
    ids = _read_ids(frame, is_needed=~has_truth)
    log, labels = store.chances(), store.labels()
    name = str(ids.name)
    known = log[log[name].notna()].set_index(name).reindex(ids).reset_index(drop=True)
    is_labelled = has_truth | ids.isin(labels[name].dropna()).to_numpy()
    is_drawn = known["wave"].notna().to_numpy()
    chance = known["probability"].to_numpy(dtype=np.float64, na_value=0.0)
    # Certain once, because of a verdict that was taken back since.
    chance = np.where(~is_labelled & ~is_drawn & (chance == 1), 0.0, chance)
    favour, position = _favour(frame, score, above=above, near=near)
    units = _Units(
        ids=ids,
        is_labelled=is_labelled,
        chance=chance,
        is_drawn=is_drawn,
        designs=known["design"].to_numpy(dtype=object),
        favour=favour,
        position=position,
        is_still_there=is_drawn,
        n_waves=int(log.attrs["n_waves"]),
    )
    _warn_of_missing(int(log["wave"].notna().sum()), int(is_drawn.sum()))
    return replace(units, is_still_there=is_drawn & _is_as_late(frame, units.is_open))


def _by_now(units: _Units, n: int) -> Numbers:
    """Return the probabilities of being drawn by now, after a wave that takes `n` of the open rows."""
    raised = raise_chances(units.chance, units.favour, n, is_open=units.is_open, goes_on=units.is_still_there)
    is_certain = units.is_labelled & (units.chance == 0) & (units.favour > 0)
    return np.where(is_certain, 1.0, raised)


def _has_truth(frame: pd.DataFrame) -> Flags:
    name = next((name for name in _TRUTHS if name in frame.columns), None)
    return np.zeros(len(frame), np.bool_) if name is None else read_column(frame, name).notna().to_numpy()


def _read_ids(frame: pd.DataFrame, *, is_needed: Flags) -> pd.Series:
    """Return what names the units: one column of ids, each there where it is needed, and once."""
    name = next((name for name in _IDS if name in frame.columns), None)
    if name is None:
        raise UnknownColumnError("column", "event_id", frame.columns, hint="or detection_id, one per row")
    column = read_column(frame, name).reset_index(drop=True)
    try:
        ids = column.astype("Int64")
    except (TypeError, ValueError) as exc:
        raise BadInputError(f"Column {name!r} has dtype {column.dtype}. Allowed: whole numbers.") from exc
    if ids.isna().to_numpy()[is_needed].any():
        raise BadInputError(f"Column {name!r} is missing in {int((ids.isna() & is_needed).sum())} rows.")
    if (twice := ids[ids.notna() & ids.duplicated()]).size:
        raise BadInputError(
            f"Column {name!r} has {twice.iloc[0]} twice. Allowed: each unit once.",
            hint=f"frame.drop_duplicates({name!r})",
        )
    return ids


def _favour(
    frame: pd.DataFrame, score: str | None, *, above: float | None, near: float | None
) -> tuple[Numbers, Numbers]:
    """Return how much the design favours each row, and where it stands along the scores."""
    name = score or next((name for name in _SCORES if name in frame.columns), None)
    if name is None and above is None and near is None:
        return np.ones(len(frame)), np.zeros(len(frame))
    scores = read_scores(read_column(frame, name or _SCORES[0]))
    favour = (~np.isnan(scores) if above is None else scores >= above).astype(np.float64)
    return favour if near is None else favour * favour_near(scores, near), scores


def _is_as_late(frame: pd.DataFrame, is_open: Flags) -> Flags:
    """Which rows are not older than what can be drawn; what is older is here for its label only."""
    name = next((name for name in TIME_COLUMNS if name in frame.columns), None)
    times = None if name is None else read_column(frame, name)[is_open]
    if name is None or times is None or not times.notna().any():
        return np.ones(len(frame), dtype=np.bool_)
    is_older: Flags = (frame[name] < times.min()).to_numpy(dtype=np.bool_, na_value=False)
    return ~is_older


def _warn_of_missing(n_drawn: int, n_here: int) -> None:
    if n_drawn and not n_here:
        message = (
            f"The store has {n_drawn} drawn units, and the frame has none of them."
            "\n\nHint: give the whole frame, labelled rows too, else their probabilities stay behind."
        )
        warnings.warn(message, SecnbWarning, stacklevel=4)
