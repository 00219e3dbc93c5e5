"""What another threshold would change: ``compare_thresholds``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secnb import schema
from secnb.analysis.arrivals import FastPath, read_arrivals
from secnb.analysis.bursts import episode_ids
from secnb.analysis.captions import count, days_sentence, exact, units_sentence, weighting_sentence
from secnb.analysis.columns import FALSE, TRUE, UNLABELLED, read_column
from secnb.analysis.flips_at import Threshold, describe_threshold
from secnb.analysis.flips_found import ThresholdComparison
from secnb.analysis.flips_joined import Joined
from secnb.analysis.flips_tables import Flips, Mask, Rows
from secnb.analysis.localdays import Days, read_days
from secnb.analysis.replaying import per_day
from secnb.analysis.splitting import Settings, Splitter
from secnb.errors import BadInputError

FIRST_ORDER: Final = (
    "First order: scores, verdicts and risk scores are taken as recorded. With other detections, batches "
    "hold other pictures, and the reasoner might have scored them differently."
)
"""What the comparison cannot know."""


def compare_thresholds(
    frame: pd.DataFrame,
    *,
    current: Threshold,
    proposed: Threshold,
    events: pd.DataFrame | None = None,
    detections: pd.DataFrame | None = None,
    memberships: pd.DataFrame | None = None,
    score: str | None = None,
    truth: str | None = None,
    cluster: str | None = None,
    probability: str | None = None,
    window_s: float = 90,
    idle_s: float = 30,
    tick_s: float | None = None,
    max_detections: int | None = None,
    fast_path: FastPath | None = None,
) -> ThresholdComparison:
    """Return what appears and disappears at another threshold, and what that changes per day.

    A row fires when its score is at or above its threshold; one without a score never does. What the
    detector dropped was never recorded, so that below the threshold then in force more would appear than
    can be shown: the caption says where that is so. The comparison is of first order. Batches are those
    that the detections left would have made, but what the reasoner would have said of them nobody knows.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per unit: ``site.labelled_events()``, whose score is the highest of an event's detections;
        or detections, such as ``site.detections()`` or ``read_mot``. It is not changed. Rates per whole
        local day need aware times; the zone is ``frame.attrs["timezone"]``, else UTC.
    current, proposed : float, ThresholdChoice or pandas.Series
        The threshold in force and the other one, on the scale of the scores. A Series gives one for each
        group and is indexed by the keys, its index named after their columns. A group for which a choice
        has none keeps the one in force.
    events : pandas.DataFrame, optional
        For detections: ``site.labelled_events()`` or ``site.events()``, for the risk and the verdict of
        their events. It takes `memberships`.
    detections : pandas.DataFrame, optional
        For events: ``site.detections()``, for batches and pictures.
    memberships : pandas.DataFrame, optional
        ``site.memberships()``: event_id and detection_id.
    score, truth : str, optional
        Columns of the frame. None: ``score``, else ``confidence``; ``truth``, else ``is_true``, else
        nothing is known.
    cluster, probability : str, optional
        As for `sweep`, for the intervals. Without a cluster, those of detections rest on their episodes, as
        `episode_ids` has them: frame by frame, they would be far too narrow.
    window_s, idle_s, tick_s, max_detections, fast_path
        The batching in force, as for `replay_batches`.

    Returns
    -------
    ThresholdComparison
        ``.appear``, ``.disappear``, ``.events``, ``.by_camera``, ``.by_hour``, ``.whole``, ``.summary``.

    Raises
    ------
    UnknownColumnError
        A frame lacks a column.
    UnknownNameError
        A Series has a threshold for a group that no row is in.
    BadInputError
        A threshold is no number, lies far outside of the scores, or is missing for a group; or an argument
        has a value that is not allowed.

    Examples
    --------
    >>> frame = pd.DataFrame({"score": [0.9, 0.7, 0.5], "truth": [True, False, None]})
    >>> comparison = compare_thresholds(frame, current=0.5, proposed=0.8)
    >>> comparison.whole[["n_current", "n_proposed", "disappear_false", "disappear_unlabelled"]]
       n_current  n_proposed  disappear_false  disappear_unlabelled
    0          3           1              1.0                     1
    """
    frames = {"frame": frame, "events": events, "detections": detections, "memberships": memberships}
    for name, each in frames.items():
        if not isinstance(each, pd.DataFrame) and (each is not None or name == "frame"):
            raise BadInputError(f"{name} is a {type(each).__name__}. Allowed: a DataFrame.")
        if each is not None:
            _check_once(each)
    for column in filter(None, (cluster, probability)):
        read_column(frame, column)
    is_event = "detected_at" not in frame.columns
    kind, other = ("events", events) if is_event else ("detections", detections)
    if other is not None:
        raise BadInputError(f"The rows of the frame are {kind} already, and {kind}= is given besides.")
    units = Rows.of(frame, current, proposed, score=score, truth=truth)
    recorded: Rows | None = units
    if is_event:
        recorded = None if detections is None else Rows.of(detections, current, proposed)
    joined = Joined.of(units, is_event=is_event, events=events, detections=recorded, memberships=memberships)
    batching = Settings(window_s, idle_s, tick_s, 0, max_detections)
    if cluster is None:
        cluster = _episodes(units)
    days, flips = read_days(frame), Flips(units, cluster, probability)
    found, unit = joined.events(), _unit(frame)
    return ThresholdComparison(
        unit=unit,
        score=units.score,
        truth=units.truth,
        current=describe_threshold(current),
        proposed=describe_threshold(proposed),
        appear=joined.flipped(units.appears),
        disappear=joined.flipped(units.disappears),
        events=found,
        whole=flips.by(np.zeros(len(frame), dtype=np.int64), pd.DataFrame(index=[0])),
        by_camera=flips.by_column("camera_id"),
        by_hour=flips.by(_hours(frame, days), pd.DataFrame({"hour": range(24)})),
        summary=_summary(joined, days, batching, fast_path, weights=flips.weights),
        caption=(
            *_caption(joined, days, found, unit=unit, cluster=cluster, probability=probability),
            *_replayed(joined, batching, fast_path),
        ),
        is_weighted=probability is not None,
    )


def _check_once(frame: pd.DataFrame) -> None:
    """Refuse a frame in which a column that is read where it is there stands twice."""
    for name in {*schema.EVENT_FLIPS, "detection_id", "detected_at", "object_type"} & set(frame.columns):
        read_column(frame, name)


def _unit(frame: pd.DataFrame) -> str:
    """Return what a row is, in one word."""
    has_events = "event_id" in frame.columns
    found = "detection" if "detected_at" in frame.columns else "event" if has_events else "unit"
    return str(frame.attrs.get("unit") or found)


def _episodes(units: Rows) -> str | None:
    """Return the column of the episodes of labelled detections, which are right or wrong together."""
    frame, name = units.frame, "episode_id"
    is_labelled = bool((units.labels != UNLABELLED).any())
    if not is_labelled or not {"camera_id", "detected_at"} <= set(frame.columns):
        return None
    if name not in frame.columns:
        frame[name] = episode_ids(frame)
    return name


def _clusters(units: Rows, cluster: str | None) -> tuple[str, int] | None:
    if cluster is None:
        return None
    labelled = read_column(units.frame, cluster)[(units.labels != UNLABELLED) & ~np.isnan(units.scores)]
    return cluster, labelled.nunique()


def _hours(frame: pd.DataFrame, days: Days | None) -> NDArray[np.int64]:
    """Return the local hour of every row, -1 without a time."""
    if days is None:
        return np.full(len(frame), -1, dtype=np.int64)
    local = read_column(frame, days.column).dt.tz_convert(ZoneInfo(days.timezone))
    hours: NDArray[np.int64] = local.dt.hour.fillna(-1).to_numpy(dtype=np.int64)
    return hours


def _summary(
    joined: Joined,
    days: Days | None,
    batching: Settings,
    fast_path: FastPath | None,
    *,
    weights: NDArray[np.float64] | None,
) -> pd.DataFrame:
    """Return what happens at either threshold, per whole local day where there is one."""
    has_days = days is not None and days.n_days > 0
    rows: dict[str, tuple[float, float]] = {}

    units, members = joined.units, joined.members
    is_in, n_days = np.ones(len(units.frame), dtype=np.bool_), 1
    if days is not None and days.n_days:
        is_in, n_days = days.contains(units.frame), days.n_days

    def add(what: str, among: Mask, weights: NDArray[np.float64] | None = None) -> None:
        now, then = (among & fires for fires in (units.fires_now, units.would_fire))
        n_now, n_then = (mask.sum() if weights is None else weights[mask].sum() for mask in (now, then))
        rows[what] = (float(n_now) / n_days, float(n_then) / n_days)

    has_events = joined.is_event and "event_id" in units.frame.columns
    add("alerts" if has_events else f"{_unit(units.frame)}s", is_in)
    if not joined.is_event and members is not None:
        began = joined.started_us
        rows["alerts"] = (
            _rate(began[members.n_current > 0], days),
            _rate(began[members.n_proposed > 0], days),
        )
    if (units.labels != UNLABELLED).any():
        for what, code in (("true alarms", TRUE), ("false alarms", FALSE)):
            add(what, is_in & (units.labels == code), weights)
    detections = joined.detections
    if detections is not None and {"camera_id", "detected_at"} <= set(detections.frame.columns):
        now, then = (
            _calls(detections.frame.loc[mask], batching, fast_path)
            for mask in (detections.fires_now, detections.would_fire)
        )
        for what in ("batches", "reasoner calls"):
            rows[what] = (_rate(now[what], days), _rate(then[what], days))
    elif has_events:
        # An event is one call; those that failed are not among them.
        rows["reasoner calls"] = rows["alerts"]
    table = pd.DataFrame(rows.values(), columns=["current", "proposed"], dtype=np.float64)
    table.insert(0, "what", pd.Series(list(rows), dtype="str"))
    table["change"] = table["proposed"] - table["current"]
    table.attrs = {"per": "day" if has_days else "all"}
    return table


def _rate(at_us: NDArray[np.int64], days: Days | None) -> float:
    """Return how many instants there are per whole local day; in all, where there is no such day."""
    return per_day(at_us, days) if days is not None and days.n_days else float(len(at_us))


def _calls(
    detections: pd.DataFrame, batching: Settings, fast_path: FastPath | None
) -> dict[str, NDArray[np.int64]]:
    """Return when the batches of detections would have closed, and when the reasoner was asked."""
    arrivals = read_arrivals(detections, fast_path=fast_path, until=None)
    (limits,) = batching.limits()
    closed = Splitter(arrivals).split(limits).closed_us
    return {"batches": closed, "reasoner calls": np.concatenate([closed, arrivals.fast_us])}


def _replayed(joined: Joined, batching: Settings, fast_path: FastPath | None) -> Iterator[str]:
    """Say how the batches were replayed, since what was recorded may have been made otherwise."""
    if joined.detections is not None:
        tick = "no tick" if batching.tick_s is None else f"tick {batching.tick_s:g} s"
        most = "" if batching.max_detections is None else f", at most {batching.max_detections}"
        fast = "no fast path" if fast_path is None else f"fast path from {fast_path[0]:g}"
        yield (
            f"Batches and calls are replayed: window {batching.window_s:g} s, idle {batching.idle_s:g} s, "
            f"{tick}{most}, {fast}. Alerts are the recorded events that survive."
        )


def _caption(
    joined: Joined,
    days: Days | None,
    events: pd.DataFrame,
    *,
    unit: str,
    cluster: str | None,
    probability: str | None,
) -> Iterator[str]:
    units = joined.units
    is_scored = ~np.isnan(units.scores)
    n_true, n_false, n_unlabelled = np.bincount(units.labels[is_scored], minlength=3)[:3].tolist()
    yield units_sentence(
        n_true=n_true,
        n_false=n_false,
        n_unlabelled=n_unlabelled,
        n_unscored=len(is_scored) - int(is_scored.sum()),
        unit=unit,
        clusters=_clusters(units, cluster),
    )
    weighting = weighting_sentence(weight=None, probability=probability)
    if weighting is not None:
        yield f"{weighting} They do not add up to what fires, which is counted."
    yield days_sentence(days)
    lowest = np.min(units.proposed, initial=np.inf)
    if lowest < units.lowest and np.any(np.less(units.proposed, units.current)):
        yield (
            f"Nothing below {exact(units.lowest)} is recorded here: "
            f"at {exact(lowest)} more would fire than is shown."
        )
    yield FIRST_ORDER
    if joined.detections is None and "event_id" in units.frame.columns:
        yield "An event is taken as one call of the reasoner; batches are known with detections only."
    n_missing = int((events["n_missing"] > 0).sum())
    if n_missing:
        yield (
            f"{count(n_missing, 'event')} that {'flips' if n_missing == 1 else 'flip'} had detections "
            "that are not in the frame: whether all of them would go is not known."
        )
