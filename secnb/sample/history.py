"""A synthetic history of one deployment: who passed which camera, and what the detector made of it.

Pure functions; equal arguments give equal histories. Every draw belongs to the seed, the day (counted
back from the last one) and the camera, so that the whole days do not depend on the time of day at which
the history ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secnb.sample.aggregate import SECOND
from secnb.sample.scenes import (
    CAMERAS,
    DAILY,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    KINDS,
    LAST_SCENE,
    NIGHT_HOURS,
    OFFLINE,
    RHYTHMS,
)

RECORDED_FROM: Final = 0.5
"""The deployment's threshold: scores below it were never stored."""

WHOLE_DAYS: Final = 14
DAY_US: Final = 86_400 * SECOND

# How much scores differ between objects, and between images of one object: the larger, the less.
_BETWEEN = 8.0
_WITHIN = 20.0
# Far away or half hidden: many of these are never detected.
_FAR_RATIO = 0.1
_FAR = 0.55
_COMPANY_RATIO = 0.15
# The last scene needs its cameras quiet before it, or a tick could close its batch at the very end.
_QUIET_US = 150 * SECOND

_KINDS = tuple(KINDS.values())
_NAMES = tuple(KINDS)
_NIGHT = np.array([hour in NIGHT_HOURS for hour in range(24)])

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def _table(name: str) -> Floats:
    return np.array([getattr(kind, name) for kind in _KINDS], dtype=np.float64)


_BY_DAY, _BY_NIGHT, _N_FRAMES, _GAP_S, _WIDTH, _HEIGHT, _SPEED = map(
    _table, ("by_day", "by_night", "n_frames", "gap_s", "width", "height", "speed")
)
_COMPANY = np.array([_NAMES.index(kind.company) if kind.company else -1 for kind in _KINDS])


@dataclass
class Frames:
    """Images of objects, one row per object and image, detected or not.

    Attributes
    ----------
    at_us, taken_us : array of int
        When the detector replied, and when the image was taken; equal for all objects of one image.
    camera, burst, kind : array of int
        Positions of the camera, the object (or source of false alarms) and its kind.
    score : array of float
        What the detector gave, rounded to four decimals.
    box : array of int, shape (n, 4)
        Left, top, width, height in pixels.
    luck : array of float
        One number from 0 to 1, for what is rare.
    """

    at_us: Ints
    taken_us: Ints
    camera: Ints
    burst: Ints
    kind: Ints
    score: Floats
    box: Ints
    luck: Floats

    def take(self, which: Any) -> Frames:
        """Return some rows, by mask or positions."""
        return Frames(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


def draws(seed: int, *belongs_to: int) -> np.random.Generator:
    """Return the generator of random numbers that belongs to a seed and a day, a camera, a purpose."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *belongs_to])))


def to_us(moment: datetime) -> int:
    """Return whole microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def frames_until(ends_us: int, *, seed: int) -> Frames:
    """Return all images of all objects of the whole days and of the running one, in time order.

    Parameters
    ----------
    ends_us : int
        The end of the history, in microseconds since 1970; nothing comes later.
    seed : int
        Not negative.

    Returns
    -------
    Frames
        ``burst`` counts from 0 in order of first sight.
    """
    midnight_us = ends_us - ends_us % DAY_US
    parts: list[Frames] = []
    for offset in range(WHOLE_DAYS, -1, -1):
        for camera, name in enumerate(CAMERAS):
            if (name, offset) in OFFLINE:
                # What passed meanwhile is no missed object either: nobody was looking.
                continue
            day = _camera_day(draws(seed, offset, camera), camera, midnight_us - offset * DAY_US)
            parts.append(day.take(day.at_us < _until(name, midnight_us, ends_us)))
    parts.extend(_last_scene(seed, midnight_us, ends_us))
    return _in_order(parts)


def _until(camera: str, midnight_us: int, ends_us: int) -> int:
    if any(camera == name for name, _ in LAST_SCENE):
        return max(midnight_us, ends_us - _QUIET_US)
    return ends_us


def _in_order(parts: list[Frames]) -> Frames:
    """Join the parts, sort by time and number the bursts by their first image."""
    first, shifted = 0, []
    for part in parts:
        shifted.append(part.burst + first)
        first += int(part.burst.max(initial=-1)) + 1
    whole = Frames(
        **{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Frames)}
    )
    whole.burst = np.concatenate(shifted)
    whole = whole.take(np.lexsort((whole.burst, whole.camera, whole.at_us)))
    _, seen, inverse = np.unique(whole.burst, return_index=True, return_inverse=True)
    whole.burst = np.argsort(np.argsort(seen))[inverse]
    return whole


def _camera_day(rng: np.random.Generator, camera: int, midnight_us: int) -> Frames:
    """Return what one camera sees on one whole day."""
    plan = DAILY[CAMERAS[camera]]
    rates = np.array([np.array(RHYTHMS[rhythm]) * per_day for _, rhythm, per_day in plan])
    which, hour = np.divmod(np.repeat(np.arange(rates.size), rng.poisson(rates).ravel()), 24)
    kind = np.array([_NAMES.index(name) for name, _, _ in plan], dtype=np.int64)[which]
    # No burst reaches into the next day, so that days stay independent of each other.
    start_s = np.minimum(hour * 3600 + rng.random(hour.size) * 3600, 86_400 - 240)
    # Some only pass, some stay: a share of the objects gives one or two images, and is easily missed.
    stay = rng.gamma(3.0, 1 / 3, kind.size)
    n_frames = np.minimum(rng.poisson((_N_FRAMES[kind] - 1) * stay) + 1, 30)
    burst = np.repeat(np.arange(kind.size), n_frames)
    gap_s = rng.uniform(0.6, 1.4, burst.size) * np.minimum(_GAP_S[kind[burst]], 5.0)
    at_us = midnight_us + _rounded((start_s[burst] + _since_first(gap_s, burst)) * SECOND)
    at_us = np.minimum(at_us, midnight_us + DAY_US - 1)
    taken_us = at_us - _rounded(rng.uniform(0.3, 1.6, at_us.size) * SECOND)
    kind, burst, image = _with_company(rng, kind, burst)
    return _detected(rng, camera, kind, burst, at_us[image], taken_us[image])


def _rounded(values: Floats) -> Ints:
    return np.rint(values).astype(np.int64)


def _since_first(gap_s: Floats, burst: Ints) -> Floats:
    """Return the seconds since the first image of the same burst."""
    if not gap_s.size:
        return gap_s
    total = np.cumsum(gap_s)
    first = np.searchsorted(burst, burst)
    since: Floats = total - total[first]
    return since


def _with_company(rng: np.random.Generator, kind: Ints, burst: Ints) -> tuple[Ints, Ints, Ints]:
    """Give some objects a companion in the same images.

    Returns the kinds of all bursts, then for each row its burst and the image it shares.
    """
    chance = rng.random(kind.size)
    hosts = np.flatnonzero((_COMPANY[kind] >= 0) & (chance < _COMPANY_RATIO))
    companion = np.full(kind.size, -1)
    companion[hosts] = kind.size + np.arange(hosts.size)
    # A companion comes into the picture with the second image.
    late = np.arange(burst.size) - np.searchsorted(burst, burst) >= 1
    shared = np.flatnonzero((companion[burst] >= 0) & late) if burst.size else np.arange(0)
    kinds = np.concatenate([kind, _COMPANY[kind[hosts]]])
    bursts = np.concatenate([burst, companion[burst[shared]]])
    return kinds, bursts, np.concatenate([np.arange(burst.size), shared])


def _detected(
    rng: np.random.Generator, camera: int, kind: Ints, burst: Ints, at_us: Ints, taken_us: Ints
) -> Frames:
    """Give each object in each image its score and its box."""
    row_kind = kind[burst]
    is_night = _NIGHT[(at_us % DAY_US) // (3600 * SECOND)]
    mean = np.where(is_night, _BY_NIGHT[row_kind], _BY_DAY[row_kind])
    # An object looks much the same in all of its images: one draw for it, then one for each image.
    is_far = rng.random(kind.size) < _FAR_RATIO
    burst_mean = np.full(kind.size, 0.5)
    burst_mean[burst] = np.where(is_far[burst], _FAR * mean, mean)
    typical = rng.beta(_BETWEEN * burst_mean, _BETWEEN * (1 - burst_mean))
    level = np.clip(typical[burst], 0.02, 0.98)
    score = np.round(rng.beta(_WITHIN * level, _WITHIN * (1 - level)), 4)
    box = _boxes(rng, kind, burst, at_us)
    everywhere = np.full(at_us.size, camera, dtype=np.int64)
    return Frames(at_us, taken_us, everywhere, burst, row_kind, score, box, rng.random(at_us.size))


def _boxes(rng: np.random.Generator, kind: Ints, burst: Ints, at_us: Ints) -> Ints:
    """Return boxes that move steadily and stay within the image, cut to whole pixels."""
    n = kind.size
    size = rng.uniform(0.6, 1.3, n)
    width, height = _WIDTH[kind] * size, _HEIGHT[kind] * size
    left, top = rng.random(n) * (IMAGE_WIDTH - width), rng.random(n) * (IMAGE_HEIGHT - height)
    speed = _SPEED[kind] * rng.uniform(-1.0, 1.0, (2, n))
    start = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(start, burst, at_us)
    since_s = (at_us - start[burst]) / SECOND
    shake = np.where(_SPEED[kind[burst]] > 0, rng.normal(0, 4, burst.size), 0.0)
    x = np.clip(left[burst] + speed[0, burst] * since_s + shake, 0, IMAGE_WIDTH - width[burst])
    y = np.clip(top[burst] + 0.3 * speed[1, burst] * since_s, 0, IMAGE_HEIGHT - height[burst])
    return np.stack([x, y, width[burst], height[burst]], axis=1).astype(np.int64)


def _last_scene(seed: int, midnight_us: int, ends_us: int) -> Iterator[Frames]:
    """Yield what stands before three cameras in the last seconds, never before midnight."""
    for number, (name, kind_name) in enumerate(LAST_SCENE):
        rng = draws(seed, 0, CAMERAS.index(name), 1_000)
        n = 3 + 2 * number
        before_us = _rounded(np.sort(rng.uniform(1.0, 24.0, n))[::-1] * SECOND)
        at_us = np.maximum(ends_us - before_us, midnight_us)
        kind = np.array([_NAMES.index(kind_name)])
        burst = np.zeros(n, dtype=np.int64)
        scene = _detected(rng, CAMERAS.index(name), kind, burst, at_us, at_us - SECOND)
        # Below the fast path's 0.90, which opens no batch, and above what is recorded.
        scene.score = np.round(rng.uniform(0.55, 0.88, n), 4)
        yield scene
