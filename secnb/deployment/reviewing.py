"""Verdicts at keyboard speed: a sample, its pictures and a label store become one thing to look at."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from typing import Any, Final, Literal, cast, get_args
from zoneinfo import ZoneInfo

import pandas as pd

from secnb.deployment.assembled import Deployment
from secnb.deployment.looking import look_at, zone_of
from secnb.errors import BadInputError, MissingDependencyError, SecnbError
from secnb.frames.labels import LabelStore
from secnb.frames.unitrows import read_units
from secnb.frames.verdicts import to_units
from secnb.view.cards import Tally, facts

Verdict = Literal["true", "false", "unsure"]

_TRUTHS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "unsure": None}
_N_AHEAD: Final = 2


def review(frame: pd.DataFrame, *, store: LabelStore, site: Deployment | None = None) -> Review:
    """Return one unit after the other to judge with keys: t true, f false, u unsure, arrow left back.

    Each verdict is in the store, on the disk, before the next unit is shown; ending the kernel loses
    nothing. It begins with the first row on which the store has no verdict, so that the same cell goes on
    where it stopped. A row judged again gets a new verdict, and the newest counts; ``store.undo()`` takes
    the last one back. "Unsure" is kept as such and is no truth. Several kernels may review with one store.

    It takes the keys once it was clicked, or at once where its cell is still the active one (Ctrl+Enter);
    what is typed in another cell is never a verdict.

    Parameters
    ----------
    frame : DataFrame
        One row per unit, best what `secnb.label_next` drew: its ``design`` and ``probability`` go into the
        store with each verdict. Other rows with ``event_id`` or ``detection_id`` may be judged too, but
        nobody knows how they were chosen: their verdicts have no probability, and no guarantee rests on
        them. Without rows, there is nothing to review. It is not changed.
    store : LabelStore
        Where the verdicts go.
    site : Deployment, optional
        Where the frame came from. It gives the picture (of an event: that of its most confident detection)
        with its box, read as by `site.show`, only below the folder that the cameras upload to (setting
        ``foscam_base_path``); what the reasoner said; and the time zone. Without it there are no pictures.

    Returns
    -------
    Review
        Shows itself in a notebook. Pictures are not saved with it.

    Raises
    ------
    BadInputError
        If an argument is of another type, or an id is missing, no whole number, or there twice.
    UnknownColumnError
        If the frame has neither ``event_id`` nor ``detection_id``.
    LabelStoreError
        If the store cannot be read.
    MissingDependencyError
        If anywidget is not installed.

    Examples
    --------
    >>> import tempfile
    >>> frame = pd.DataFrame({"event_id": [7, 8], "score": [0.9, 0.4]})
    >>> with tempfile.TemporaryDirectory() as folder, LabelStore(f"{folder}/labels.sqlite") as store:
    ...     started = review(frame, store=store)
    ...     started.record("true")
    ...     started
    <Review: 1 of 2 judged: 1 true, 0 false, 0 unsure; event 8 is next>
    """
    if not isinstance(store, LabelStore):
        raise BadInputError(f"store is {type(store).__name__}. Allowed: a secnb.LabelStore.")
    if site is not None and not isinstance(site, Deployment):
        raise BadInputError(f"site is {type(site).__name__}. Allowed: what secnb.connect returns, or None.")
    units = read_units(frame)
    return Review(units, store, site, zone=zone_of(site, frame))


class Review:
    """A review that goes on; made by `review`.

    Attributes
    ----------
    unit : str or None
        The unit in view, such as ``"event 12"``; None where all are judged.
    tally : Tally
        n, n_done, n_true, n_false and n_unsure, as of the last look at the store.
    """

    def __init__(
        self, units: pd.DataFrame, store: LabelStore, site: Deployment | None, *, zone: ZoneInfo
    ) -> None:
        try:
            from secnb.view.reviews import ReviewWidget
        except ImportError as exc:
            raise MissingDependencyError(
                "A review needs anywidget, which is not installed.", hint="pip install 'secnb[lab]'"
            ) from exc
        self._units = units
        self._order: list[str] = units.index.tolist()
        self._positions = {unit: at for at, unit in enumerate(self._order)}
        self._store = store
        self._site = site
        self._zone = zone
        self._given = self._read_given()
        self._n_recorded = 0
        self._at = self._next_open(-1)
        # Keys come from the thread of a subshell, pictures from one of their own.
        self._lock = threading.RLock()
        self._reading = threading.Lock()
        self._is_watched = False
        self._sent: set[str] = set()
        self._widget = ReviewWidget(self._heard)

    @property
    def unit(self) -> str | None:
        """The unit in view; None where all are judged."""
        return None if self._at is None else self._order[self._at]

    @property
    def tally(self) -> Tally:
        """How many units have which verdict, as of the last look at the store."""
        given: list[str] = list(self._given.values())
        return Tally(len(self._order), *(given.count(verdict) for verdict in _TRUTHS))

    def __repr__(self) -> str:
        return f"<Review: {self.tally}; {f'{self.unit} is next' if self.unit else _nothing_left(self.tally)}>"

    def _ipython_display_(self) -> None:
        self._widget.appear(repr(self))

    def record(self, verdict: Verdict) -> None:
        """Store a verdict on the unit in view, and go on to the next one without a verdict.

        Parameters
        ----------
        verdict : {"true", "false", "unsure"}
            What the keys t, f and u do.

        Raises
        ------
        BadInputError
            If it is another word, nothing is left to judge, or the store knows the id with another camera
            or time.
        LabelStoreError
            If it could not be stored; the unit stays in view.
        """
        if verdict not in get_args(Verdict):
            raise BadInputError(f"verdict is {verdict!r}. Allowed: {', '.join(map(repr, _TRUTHS))}.")
        with self._lock:
            unit = self.unit
            if unit is None or self._at is None:
                raise BadInputError(
                    f"There is no unit to judge: {_nothing_left(self.tally)}.",
                    hint="back() shows the last one",
                )
            row = self._row(unit)
            # A miss that somebody reported is one only if the object was there.
            is_missed = verdict == "true" and row["is_missed"] is not pd.NA and bool(row["is_missed"])
            self._store.add(row, truth=_TRUTHS[verdict], is_missed=is_missed)
            self._n_recorded += 1
            self._given = {**self._given, unit: verdict}
            self._at = self._next_open(self._at)
            self._show(said=f"{unit}: {verdict}.", is_answer=True)
        self._look_ahead()

    def back(self) -> None:
        """Show the unit before this one again, to judge it anew; at the first, nothing happens."""
        with self._lock:
            if self._order:
                at = len(self._order) if self._at is None else self._at
                self._at = max(at - 1, 0)
            self._show(said="Back.", is_answer=True)
        self._look_ahead()

    def _row(self, unit: str) -> dict[str, Any]:
        return {str(name): value for name, value in self._units.iloc[self._positions[unit]].items()}

    def _heard(self, content: Mapping[str, Any]) -> None:
        """Do what the page asks for."""
        kind, unit, verdict = (content.get(name) for name in ("kind", "unit", "verdict"))
        with self._lock:
            # A page may lag behind; what it did not show gets no verdict.
            is_in_view = unit == self.unit
            try:
                if kind == "record" and is_in_view:
                    self.record(cast(Verdict, verdict))
                elif kind == "back" and is_in_view:
                    self.back()
                else:
                    self._begin_anew()
            except SecnbError as exc:
                self._show(problem=f"Not stored. {exc}", is_answer=True)

    def _begin_anew(self) -> None:
        """Show everything, to a page that has nothing yet."""
        self._is_watched = True
        self._sent.clear()
        self._show(is_answer=True)
        self._look_ahead()

    def _look_ahead(self) -> None:
        if self._is_watched:
            threading.Thread(target=self._catch_up, name="secnb-review", daemon=True).start()

    def _show(self, *, said: str = "", problem: str = "", is_answer: bool) -> None:
        with self._lock:
            unit, tally = self.unit, self.tally
            window = self._window()
            self._sent &= set(window)
            said = f"{said} {unit or _nothing_left(tally)}. {tally}.".strip()
            self._widget.show(
                unit,
                tally,
                facts={} if unit is None else facts(self._row(unit), self._zone),
                verdict=None if unit is None else self._given.get(unit),
                can_go_back=bool(self._order) and self._at != 0,
                said=said,
                problem=problem,
                is_answer=is_answer,
                keep=window,
            )

    def _catch_up(self) -> None:
        """Send what there is to see, of the unit in view first, and learn what other kernels have judged."""
        with self._reading:
            for unit in self._window():
                self._send_look(unit)
            self._refresh()

    def _send_look(self, unit: str) -> None:
        if unit in self._sent:
            return
        look = look_at(self._site, self._row(unit))
        with self._lock:
            if unit in self._window():
                self._widget.send_look(unit, look)
                self._sent.add(unit)

    def _refresh(self) -> None:
        """Learn what other kernels have judged; the unit in view stays, since a key may be on its way."""
        n_before = self._n_recorded
        try:
            given = self._read_given()
        except SecnbError:
            return  # The next verdict says what is wrong.
        with self._lock:
            if n_before == self._n_recorded and given != self._given:
                self._given = given
                self._at = self._next_open(-1) if self._at is None else self._at
                self._show(is_answer=False)

    def _read_given(self) -> dict[str, Verdict]:
        labels = self._store.labels()
        truths = dict(zip(to_units(labels), labels["truth"].tolist(), strict=True))
        return {unit: _verdict(truths[unit]) for unit in self._order if unit in truths}

    def _next_open(self, after: int) -> int | None:
        """Return the next position without a verdict, going round; None where all have one."""
        n = len(self._order)
        turn = ((after + step) % n for step in range(1, n + 1))
        return next((at for at in turn if self._order[at] not in self._given), None)

    def _window(self) -> list[str]:
        """Return the units whose pictures the page needs: this one, the next ones, the one before."""
        with self._lock:
            n = len(self._order)
            at = n if self._at is None else self._at
            after = (self._order[i] for i in range(at + 1, n) if self._order[i] not in self._given)
            ahead = itertools.islice(after, _N_AHEAD)
            return [*self._order[at : at + 1], *ahead, *self._order[max(at - 1, 0) : at]]


def _nothing_left(tally: Tally) -> str:
    return "all are judged" if tally.n else "the frame has no rows, so there is nothing to review"


def _verdict(truth: Any) -> Verdict:
    return "unsure" if pd.isna(truth) else "true" if truth else "false"
