"""How each generation stores the one history: which tables and columns, and what stands in them.

What the history says is the same in all. Where they differ is what a reader has to see through:
ids of detections as text or in a table of their own, failed analyses, words for verdicts, rows that
were deleted and are still there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, get_args

from secnb import schema
from secnb.errors import BadInputError
from secnb.sample.aggregate import SECOND
from secnb.sample.history import DAY_US, Floats, draws, to_us
from secnb.sample.records import Records
from secnb.sample.tables import Rows, Tables, as_dicts, as_text, from_text

Generation = Literal["sqlite", "postgres", "streams"]
GENERATIONS: Final[tuple[str, ...]] = get_args(Generation)

# Random numbers of their own, by place in the list of events.
_DELETIONS, _VERIFICATIONS = 101, 102
_UPGRADED_DAYS: Final = 7
_COMMA_EVERY: Final = 40
_DELETED_RATIO: Final = 0.004
_MB: Final = 2**20
_DAY_S: Final = 86_400

_OLD_WORDS: Final = {"missed_threat": "missed_detection", "severity_wrong": "wrong_severity"}
_THREATS: Final = {"false_positive": "no_threat", "missed_threat": "genuine_threat"}
_SUGGESTED: Final = dict(zip(schema.RISK_LEVELS, (15, 45, 70, 92), strict=True))
_ENGINE: Final = ("vlm", "qwen3-vl-8b")

Row = dict[str, Any]


def check_generation(name: object) -> None:
    """Refuse what is no generation.

    Raises
    ------
    BadInputError
        With those there are.
    """
    if name not in GENERATIONS:
        raise BadInputError(f"generation is {name!r}. Allowed: {', '.join(map(repr, GENERATIONS))}.")


def stored(records: Records, generation: Generation, *, seed: int) -> Tables:
    """Return the tables of a history as a generation stores them.

    Parameters
    ----------
    records : Records
    generation : {"sqlite", "postgres", "streams"}
    seed : int
        Of what one generation alone knows: verifications, rows deleted in the meantime.

    Returns
    -------
    Tables
        Times are text in UTC, truth values 0 and 1; JSON is text.
    """
    # Halfway the deployment was upgraded; what was written before stayed as it was.
    upgraded_us = to_us(records.ends_at) // DAY_US * DAY_US - _UPGRADED_DAYS * DAY_US
    return _STORED[generation](records, as_text([upgraded_us])[0], seed)


def _sqlite(records: Records, upgraded_at: str, seed: int) -> Tables:
    events = as_dicts(records.tables, "events")
    for event in events:
        event["detection_ids"] = _ids_as_text(event, is_old=event["started_at"] < upgraded_at)
    samples = as_dicts(records.tables, "gpu_stats")
    for sample in samples:
        # The first generation counts bytes, the later ones megabytes.
        sample |= {name: sample[name] * _MB for name in ("memory_used", "memory_total")}
    return {**records.tables, **_tables({"events": events, "gpu_stats": samples})}


def _ids_as_text(event: Row, *, is_old: bool) -> str:
    """Return ids as the first versions wrote them, text in a JSON list, or numbers as the later ones do."""
    ids = event["detection_ids"]
    if is_old and event["id"] % _COMMA_EVERY == 0:
        return ",".join(map(str, ids))
    return json.dumps([str(each) for each in ids] if is_old else ids)


def _postgres(records: Records, upgraded_at: str, seed: int) -> Tables:
    tables = _in_common(records, seed)
    for event in tables["events"]:
        # The column was filled until the junction came; the rows before it were copied there.
        is_old = event["started_at"] < upgraded_at
        event["detection_ids"] = json.dumps(event["detection_ids"]) if is_old else None
        event["object_types"] = event.pop("labels")
    for verdict in tables["event_feedback"]:
        if verdict["created_at"] < upgraded_at:
            verdict["feedback_type"] = _OLD_WORDS.get(verdict["feedback_type"], verdict["feedback_type"])
    return {**records.tables, **_tables(tables)}


def _streams(records: Records, upgraded_at: str, seed: int) -> Tables:
    tables = _in_common(records, seed)
    luck = draws(seed, _VERIFICATIONS).random((len(tables["events"]), 3))
    verifications: list[Row] = []
    for event, chance in zip(tables["events"], luck, strict=True):
        ids, labels = event.pop("detection_ids"), event.pop("labels")
        if event["started_at"] >= upgraded_at:
            verifications.extend(_verifications(event, ids, labels, chance))
            if _is_failed(event):
                event |= {"risk_score": None, "risk_level": None}
    tables["event_verifications"] = [
        {"id": number, **row} for number, row in enumerate(verifications, start=1)
    ]
    for verdict in tables["event_feedback"]:
        verdict |= _enhanced(verdict, is_old=verdict["created_at"] < upgraded_at)
    return {**records.tables, **_tables(tables)}


_STORED: Final[Mapping[str, Callable[[Records, str, int], Tables]]] = {
    "sqlite": _sqlite,
    "postgres": _postgres,
    "streams": _streams,
}


def _tables(tables: Mapping[str, list[Row]]) -> dict[str, tuple[tuple[str, ...], Rows]]:
    """Return rows whose columns are those of the first row."""
    return {
        name: (tuple(rows[0]) if rows else (), [tuple(row.values()) for row in rows])
        for name, rows in tables.items()
    }


def _in_common(records: Records, seed: int) -> dict[str, list[Row]]:
    """Return what both generations on PostgreSQL have: a junction, and rows that are deleted softly."""
    cameras = [camera | _source(camera) for camera in as_dicts(records.tables, "cameras")]
    labels = {row["id"]: row["object_type"] for row in as_dicts(records.tables, "detections")}
    events = as_dicts(records.tables, "events")
    for event in events:
        found = sorted({labels[one] or "" for one in event["detection_ids"]} - {""})
        event |= {"labels": ",".join(found), "deleted_at": None}
    events += _deleted_events(events, records, seed)
    if events:
        cameras.append(_deleted_camera(cameras[0]))
    junction = [
        {"event_id": event["id"], "detection_id": one, "created_at": event["ended_at"]}
        for event in events
        for one in event["detection_ids"]
    ]
    return {
        "cameras": cameras,
        "events": events,
        "event_detections": junction,
        "event_feedback": as_dicts(records.tables, "event_feedback"),
    }


def _source(camera: Row) -> Row:
    """Return where a camera's images come from; one of them is asked, and its password is stored in clear."""
    asked: Row = {"rtsp_url": None, "rtsp_username": None, "rtsp_password": None}
    if camera["id"] == "garage":
        asked = {
            "rtsp_url": "rtsp://garage.invalid:554/stream1",
            "rtsp_username": "synthetic",
            "rtsp_password": "synthetic-password",
        }
    return {"deleted_at": None, "ingestion_mode": "rtsp" if asked["rtsp_url"] else "ftp", **asked}


def _deleted_camera(like: Row) -> Row:
    """Return a camera that was taken down before the history begins."""
    return like | {
        "id": "old_shed",
        "name": "Old Shed",
        "folder_path": "/export/foscam/old_shed",
        "status": "offline",
        "last_seen_at": None,
        "deleted_at": like["created_at"],
    }


def _deleted_events(events: list[Row], records: Records, seed: int) -> Iterator[Row]:
    """Yield events that were written twice, and whose second row was deleted by hand a day later."""
    luck = draws(seed, _DELETIONS).random((len(events), 3))
    last_us = to_us(records.ends_at) - 2 * DAY_US
    last_at, event_id = as_text([last_us])[0], len(events)
    for event, chance in zip(tuple(events), luck, strict=True):
        if chance[0] < _DELETED_RATIO and event["ended_at"] < last_at:
            event_id += 1
            batch_id = f"{int(chance[1] * 2**53):016x}{int(chance[2] * 2**53):016x}"
            yield event | {
                "id": event_id,
                "batch_id": batch_id,
                "deleted_at": _plus(event["ended_at"], _DAY_S),
            }


def _plus(at: str, seconds: int) -> str:
    return as_text([from_text(at) + seconds * SECOND])[0]


def _is_failed(event: Row) -> bool:
    return bool(event["summary"] == schema.FAILED_SUMMARY)


def _verifications(event: Row, ids: tuple[int, ...], labels: str, luck: Floats) -> Iterator[Row]:
    """Yield what the verifier said of an event, the newest last; now and then it was asked again."""
    verdict = _verdict(event, luck)
    if verdict != "verification_failed" and luck[1] < 0.02:
        # Only the newest counts: this event has not failed.
        yield _verification(event, "verification_failed", ids, labels, luck, after_s=1)
    yield _verification(event, verdict, ids, labels, luck, after_s=2)


def _verdict(event: Row, luck: Floats) -> str:
    """Return a verdict that fits the score: what was rejected is at most low."""
    if _is_failed(event):
        return "verification_failed"
    if event["risk_score"] <= schema.RISK_CUTS[0]:
        return "rejected" if luck[0] < 0.7 else "uncertain"
    return "uncertain" if event["risk_score"] <= schema.RISK_CUTS[1] and luck[0] < 0.4 else "confirmed"


def _verification(
    event: Row, verdict: str, ids: tuple[int, ...], labels: str, luck: Floats, *, after_s: int
) -> Row:
    has_failed = verdict == "verification_failed"
    criteria = [{"name": "visible", "passed": verdict == "confirmed", "evidence": event["summary"]}]
    return {
        "event_id": event["id"],
        "verdict": verdict,
        "scene_description": None if has_failed else f"Synthetic: {labels or 'object'}.",
        "criteria": None if has_failed else json.dumps(criteria),
        "key_frame_detection_ids": json.dumps(ids[:3]),
        "engine": _ENGINE[0],
        "model_id": _ENGINE[1],
        # A read times out after 25 s.
        "latency_ms": 25_000 if has_failed else int(900 + 9000 * luck[2] ** 2),
        "created_at": _plus(event["ended_at"], after_s),
    }


def _enhanced(verdict: Row, *, is_old: bool) -> Row:
    """Return what the newest form asks for as well; half of the operators leave it empty."""
    if is_old or verdict["id"] % 2:
        return {"actual_threat_level": None, "suggested_score": None}
    return {
        "actual_threat_level": _THREATS.get(verdict["feedback_type"], "minor_concern"),
        "suggested_score": _SUGGESTED.get(verdict["expected_severity"]),
    }
