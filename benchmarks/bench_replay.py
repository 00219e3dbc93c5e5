"""Batch replay against the plain loop of the service, and a grid of settings against one of them.

Run with ``python benchmarks/bench_replay.py [rows]``. The detections are synthetic: bursts of about ten
frames, a frame a second, at eight cameras.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from sidebyside import compare

import secnb

N_ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000


def detections(n_rows: int) -> pd.DataFrame:
    """Return bursts of ten frames on average, five minutes apart on average, of eight cameras."""
    generator = np.random.default_rng(0)
    n_bursts = n_rows // 10
    lengths = generator.geometric(0.1, n_bursts)
    starts = np.cumsum(generator.exponential(300e6 / 8, n_bursts)).astype(np.int64)
    at = np.repeat(starts, lengths) + generator.integers(0, 1_000_000, lengths.sum())
    at += (np.arange(len(at)) - np.repeat(np.cumsum(lengths) - lengths, lengths)) * 1_000_000
    names = np.array([f"camera_{n}" for n in range(8)])
    cameras = np.repeat(generator.integers(0, 8, n_bursts), lengths)
    order = np.argsort(at, kind="stable")[:n_rows]
    at = pd.DatetimeIndex((at[order] + 1_770_000_000_000_000).view("datetime64[us]")).tz_localize("UTC")
    frame = pd.DataFrame({"detection_id": np.arange(1, len(order) + 1), "detected_at": at})
    frame["camera_id"] = pd.Series(names[cameras[order]], dtype="str")
    return frame


def plain_loop(frame: pd.DataFrame, tick_s: float | None) -> list[tuple[str, int, int, int]]:
    """Return camera, start, close and size of each batch, one detection after the other."""
    window, idle = 90_000_000, 30_000_000
    tick = int(tick_s * 1_000_000) if tick_s else 0
    times = frame["detected_at"].dt.tz_convert(None).to_numpy("datetime64[us]").view(np.int64).tolist()
    current: dict[str, list[int]] = {}
    batches = []
    for camera, at in zip(frame["camera_id"].tolist(), times, strict=True):
        batch = current.get(camera)
        if batch is not None:
            due = min(batch[0] + window, batch[1] + idle)
            if tick:
                due += -due % tick
            if due > at:
                batch[1] = at
                batch[2] += 1
                continue
            batches.append((camera, batch[0], due, batch[2]))
        current[camera] = [at, at, 1]
    for camera, batch in current.items():
        due = min(batch[0] + window, batch[1] + idle)
        batches.append((camera, batch[0], due + (-due % tick if tick else 0), batch[2]))
    return batches


def main() -> None:
    """Print one line per comparison."""
    frame = detections(N_ROWS)
    for tick_s in (None, 10.0):
        ours = secnb.replay_batches(frame, tick_s=tick_s).batches
        theirs = plain_loop(frame, tick_s)
        assert sorted(ours["n_detections"].tolist()) == sorted(each[3] for each in theirs)
        compare(
            f"replay_batches, {N_ROWS:,} detections, tick {tick_s}, against the plain loop",
            ours=lambda tick_s=tick_s: secnb.replay_batches(frame, tick_s=tick_s).batches,
            peer=lambda tick_s=tick_s: plain_loop(frame, tick_s),
            rounds=3,
        )
    grid()


def grid() -> None:
    """Compare 64 settings with one."""
    frame = detections(1_000_000)
    windows, idles = range(30, 190, 20), range(10, 90, 10)
    ratio = compare(
        "compare_batching, 1,000,000 detections, 1 setting against 64 (a time of 1 / ratio)",
        ours=lambda: secnb.compare_batching(frame, window_s=90, idle_s=30, service_s=5),
        peer=lambda: secnb.compare_batching(frame, window_s=windows, idle_s=idles, service_s=5),
        rounds=3,
    )
    print(f"64 settings take {ratio:.1f} times as long as one")


if __name__ == "__main__":
    main()
