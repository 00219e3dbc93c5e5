"""The shared vocabulary: column names, dtypes, units, queues and the ranges of tunable settings.

Frames keep the database's own column names, so that a query and a helper read alike. Only primary
keys are renamed (``id`` of a detection is ``detection_id``), so that joins read well. What stands
here stands nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

TIME: Final = "datetime64[us, UTC]"

CAMERAS: Final[Mapping[str, str]] = {
    "camera_id": "str",
    "name": "str",
    "folder_path": "str",
    "status": "str",
    "created_at": TIME,
    "last_seen_at": TIME,
}
DETECTIONS: Final[Mapping[str, str]] = {
    "detection_id": "Int64",
    "camera_id": "str",
    "object_type": "str",
    "confidence": "float64",
    "detected_at": TIME,
    # Boxes are pixels of the image, top-left corner and size.
    "bbox_x": "float64",
    "bbox_y": "float64",
    "bbox_width": "float64",
    "bbox_height": "float64",
    "file_path": "str",
    "file_type": "str",
    "thumbnail_path": "str",
}
EVENTS: Final[Mapping[str, str]] = {
    "event_id": "Int64",
    "batch_id": "str",
    "camera_id": "str",
    "started_at": TIME,
    "ended_at": TIME,
    "risk_score": "Int64",
    "risk_level": "str",
    "risk_level_now": "str",
    "is_failed": "boolean",
    "is_fast_path": "boolean",
    "reviewed": "boolean",
    "n_detections": "Int64",
    "summary": "str",
    "reasoning": "str",
    "notes": "str",
    # The verifier's newest one; only the newest generation has a verifier.
    "verdict": "str",
}
MEMBERSHIPS: Final[Mapping[str, str]] = {
    "event_id": "Int64",
    "detection_id": "Int64",
}
FEEDBACK: Final[Mapping[str, str]] = {
    "event_id": "Int64",
    "truth": "boolean",
    "is_missed": "boolean",
    "feedback_type": "str",
    "expected_severity": "str",
    "created_at": TIME,
    # 0 to 100, what an operator would have scored.
    "suggested_score": "Int64",
}
LABELLED_EVENTS: Final[Mapping[str, str]] = {
    "event_id": "Int64",
    "camera_id": "str",
    # Of the detection with the highest confidence, which is the score.
    "object_type": "str",
    "score": "float64",
    "risk_score": "Int64",
    "started_at": TIME,
    "truth": "boolean",
    "is_missed": "boolean",
    "verified_probability": "float64",
}
GPU_STATS: Final[Mapping[str, str]] = {
    "sample_id": "Int64",
    "recorded_at": TIME,
    # Percent.
    "gpu_utilization": "float64",
    # Bytes, also where megabytes (of 2**20) are stored.
    "memory_used": "Int64",
    "memory_total": "Int64",
    # Degrees Celsius.
    "temperature": "float64",
    # Frames per second.
    "inference_fps": "float64",
}
TRUTH: Final[Mapping[str, str]] = {
    "detection_id": "Int64",
    "is_true": "boolean",
    "object_id": "Int64",
}
LABELS: Final[Mapping[str, str]] = {
    # A unit is an event where event_id is there, else a detection, else an object that nothing recorded.
    "event_id": "Int64",
    "detection_id": "Int64",
    "camera_id": "str",
    "object_type": "str",
    "score": "float64",
    "risk_score": "Int64",
    "started_at": TIME,
    # Missing where whoever looked was unsure.
    "truth": "boolean",
    "is_missed": "boolean",
    "design": "str",
    # That the unit is labelled by now; missing where it was not drawn.
    "probability": "float64",
    "who": "str",
    "verified_at": TIME,
}
CHANCES: Final[Mapping[str, str]] = {
    "event_id": "Int64",
    "detection_id": "Int64",
    # That the unit was drawn by now, in whichever wave.
    "probability": "float64",
    # The wave that drew it, and how; missing where none did.
    "wave": "Int64",
    "design": "str",
}
DRAWS: Final[Mapping[str, str]] = {
    "wave": "Int64",
    "event_id": "Int64",
    "detection_id": "Int64",
    "design": "str",
    "probability": "float64",
    "seed": "str",
    "drawn_at": TIME,
}
ANNOTATIONS: Final[Mapping[str, str]] = {
    "object_id": "Int64",
    "image_id": "Int64",
    "object_type": "str",
    "bbox_x": "float64",
    "bbox_y": "float64",
    "bbox_width": "float64",
    "bbox_height": "float64",
    "area": "float64",
    # A group that nobody counted.
    "is_crowd": "boolean",
    "file_path": "str",
}
MESSAGES: Final[Mapping[str, str]] = {
    "pos": "Int64",
    "entry_id": "str",
    "ok": "boolean",
    "error": "str",
    "raw": "object",
    "size_bytes": "Int64",
    "enqueued_at": TIME,
    "age_s": "float64",
    "camera_id": "str",
    "batch_id": "str",
    "file_path": "str",
    "payload": "object",
}
QUEUES: Final[Mapping[str, str]] = {
    "queue": "str",
    "type": "str",
    "length": "Int64",
    "backlog": "Int64",
    "oldest_at": TIME,
    "oldest_age_s": "float64",
    "n_consumers": "Int64",
    "n_dead_letters": "Int64",
}
QUEUE_RATES: Final[Mapping[str, str]] = {
    "in_per_s": "float64",
    "out_per_s": "float64",
}
KEYS: Final[Mapping[str, str]] = {
    "key": "str",
    "type": "str",
    "ttl_s": "float64",
    "size_bytes": "Int64",
    "encoding": "str",
}
CACHE: Final[Mapping[str, str]] = {
    "key": "str",
    "type": "str",
    "ttl_s": "float64",
    "ok": "boolean",
    "error": "str",
    "value": "object",
    "raw": "object",
    "size_bytes": "Int64",
}
OPEN_BATCHES: Final[Mapping[str, str]] = {
    "camera_id": "str",
    "batch_id": "str",
    "started_at": TIME,
    "age_s": "float64",
    "idle_s": "float64",
    "n_detections": "Int64",
    "closes_in_s": "float64",
    "is_closing": "boolean",
    "error": "str",
}
DEAD_LETTERS: Final[Mapping[str, str]] = {
    # The queue that the item was for; the column key says where the letter lies.
    "queue": "str",
    "ok": "boolean",
    "error": "str",
    "error_type": "str",
    "n_attempts": "Int64",
    "first_failed_at": TIME,
    "last_failed_at": TIME,
    "camera_id": "str",
    "batch_id": "str",
    "file_path": "str",
    "original": "object",
    "raw": "object",
    "key": "str",
    "pos": "Int64",
    "entry_id": "str",
}
PUBLISHED: Final[Mapping[str, str]] = {
    "received_at": TIME,
    "channel": "str",
    "type": "str",
    "event_id": "Int64",
    "batch_id": "str",
    "camera_id": "str",
    "risk_score": "Int64",
    "risk_level": "str",
    "ok": "boolean",
    "error": "str",
    "raw": "object",
    "payload": "object",
}
PIPELINE: Final[Mapping[str, str]] = {
    "stage": "str",
    "status": "str",
    "depth": "Int64",
    "oldest_at": TIME,
    "oldest_age_s": "float64",
    "out_per_hour": "float64",
    "last_at": TIME,
    "freshness_s": "float64",
    "n_dead_letters": "Int64",
    "why": "str",
}
STAGES: Final = (
    "cameras",
    "detection_queue",
    "detector",
    "batching",
    "analysis_queue",
    "reasoner",
    "storage",
)
"""The stages of the pipeline, in the order in which an image passes them."""

HEALTH: Final[Mapping[str, str]] = {
    "component": "str",
    "status": "str",
    "latency_ms": "float64",
    "version": "str",
    "generation": "str",
    "detail": "str",
}
LATENCIES: Final[Mapping[str, str]] = {
    "source": "str",
    "n": "int64",
    "median_s": "float64",
    "p95_s": "float64",
}
CALLS: Final[Mapping[str, str]] = {
    "id": "Int64",
    "call": "str",
    "started_at": TIME,
    "seconds": "float64",
    "progress": "str",
}
SETTINGS: Final[Mapping[str, str]] = {
    "setting": "str",
    "value": "object",
    "default": "object",
    "range": "str",
    "unit": "str",
    "source": "str",
    "is_in_force": "boolean",
    "why": "str",
}
SNAPSHOT: Final[Mapping[str, str]] = {
    "file": "str",
    "what": "str",
    "rows": "Int64",
    "size_bytes": "Int64",
    "truncated": "boolean",
    "why": "str",
}
BATCHES: Final[Mapping[str, str]] = {
    "camera_id": "str",
    "started_at": TIME,
    "last_at": TIME,
    "closed_at": TIME,
    "reason": "str",
    "n_detections": "int64",
    "wait_s": "float64",
}
BATCHING: Final[Mapping[str, str]] = {
    "window_s": "float64",
    "idle_s": "float64",
    "n_batches": "int64",
    "calls": "int64",
    "calls_per_day": "float64",
    "size_median": "float64",
    "size_p95": "float64",
    "size_max": "float64",
    "wait_median_s": "float64",
    "wait_p95_s": "float64",
    "n_episodes": "int64",
    "n_cut": "int64",
    "busy_ratio": "float64",
    "backlog_max": "int64",
    "oldest_max_s": "float64",
    "answer_p95_s": "float64",
    "is_efficient": "bool",
}
REPLAY_CHECK: Final[Mapping[str, str]] = {
    "camera_id": "str",
    "started_at": TIME,
    "event_id": "Int64",
    "n_detections": "Int64",
    "n_replayed": "Int64",
    "agrees": "bool",
    "why": "str",
}
RISK_COMPARISON: Final[Mapping[str, str]] = {
    "low_max": "int64",
    "medium_max": "int64",
    "high_max": "int64",
    "n_events": "int64",
    "n_failed": "int64",
    "n_unscored": "int64",
    "n_low": "int64",
    "n_medium": "int64",
    "n_high": "int64",
    "n_critical": "int64",
    "low_per_day": "float64",
    "medium_per_day": "float64",
    "high_per_day": "float64",
    "critical_per_day": "float64",
    "high_or_critical_ratio": "float64",
    "n_expected": "int64",
    "agree_ratio": "float64",
    "agree_ratio_low": "float64",
    "agree_ratio_high": "float64",
    "n_suggested": "int64",
    "suggested_agree_ratio": "float64",
    "n_accepted": "int64",
    "accepted_agree_ratio": "float64",
    "n_stored": "int64",
    "stored_agree_ratio": "float64",
}
SWEEP: Final[Mapping[str, str]] = {
    "threshold": "float64",
    "n_fired": "int64",
    "n_unlabelled": "int64",
    "tp": "int64",
    "fp": "int64",
    "fn": "int64",
    "tn": "int64",
    "n_missed": "int64",
    "precision": "float64",
    "recall": "float64",
    "f1": "float64",
    "precision_low": "float64",
    "precision_high": "float64",
    "recall_low": "float64",
    "recall_high": "float64",
    # unknown < corrected < measured.
    "evidence": "category",
}
FLIPS: Final[Mapping[str, str]] = {
    "n_current": "int64",
    "n_proposed": "int64",
    "n_appear": "int64",
    # Among the labelled ones of those that appear; estimates where labels have probabilities.
    "appear_true": "float64",
    "appear_false": "float64",
    "appear_unlabelled": "int64",
    "appear_precision": "float64",
    "appear_precision_low": "float64",
    "appear_precision_high": "float64",
    "n_disappear": "int64",
    "disappear_true": "float64",
    "disappear_false": "float64",
    "disappear_unlabelled": "int64",
    "disappear_precision": "float64",
    "disappear_precision_low": "float64",
    "disappear_precision_high": "float64",
}
EVENT_FLIPS: Final[Mapping[str, str]] = {
    "event_id": "Int64",
    # "appears" or "disappears".
    "change": "str",
    "camera_id": "str",
    "started_at": TIME,
    # The highest of its detections, and whose picture that is.
    "score": "float64",
    "file_path": "str",
    "risk_score": "Int64",
    "truth": "boolean",
    # Its detections that fire, and those that are not in the frame.
    "n_current": "Int64",
    "n_proposed": "Int64",
    "n_missing": "Int64",
}
EPISODES: Final[Mapping[str, str]] = {
    "episode_id": "int64",
    # Here follow the by columns of the call.
    "started_at": TIME,
    "ended_at": TIME,
    "n_detections": "int64",
    "score": "float64",
    "truth": "boolean",
}

COVERAGE: Final[Mapping[str, str]] = {
    "n_units": "int64",
    "n_labelled": "int64",
    "n_true": "int64",
    "n_false": "int64",
    "n_missed": "int64",
    "labelled_ratio": "float64",
    "is_thin": "bool",
}
PRIMARY_KEYS: Final[Mapping[str, str]] = {
    "cameras": "camera_id",
    "detections": "detection_id",
    "events": "event_id",
    "event_feedback": "feedback_id",
    "gpu_stats": "sample_id",
}
"""What the column ``id`` of a table is called in its frame."""

HISTORY: Final[Mapping[str, str]] = {
    "detections": "detected_at",
    "events": "started_at",
    "event_detections": "created_at",
    "gpu_stats": "recorded_at",
    "logs": "timestamp",
}
"""The tables that grow with time, and the column that says when; a snapshot takes their recent rows."""

SECRET_COLUMNS: Final = frozenset(
    {"rtsp_password", "rtsp_url", "rtsp_username", "key_hash", "api_key", "password", "token", "secret"}
)
"""Columns that hold secrets; helpers mask them unless they are asked for by name."""

QUEUE_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "detection_queue": ("camera_id", "file_path"),
    "analysis_queue": ("batch_id", "camera_id"),
    "detections:stream": ("camera_id", "file_path"),
    "analysis:stream": ("batch_id", "camera_id"),
    "dlq:detection_queue": ("original_job",),
    "dlq:analysis_queue": ("original_job",),
    "dlq:overflow:detection_queue": ("original_queue", "data"),
    "dlq:overflow:analysis_queue": ("original_queue", "data"),
    "detections:stream:dlq": ("dlq_reason",),
    "analysis:stream:dlq": ("dlq_reason",),
}
"""The queues that always exist, with the fields that a message cannot do without."""

KEY_PREFIX: Final = "hsi"
"""What stands before ``:queue:<name>`` in the prefixed form of a queue's key, unless a setting says other."""

DLQ_FIELDS: Final = ("original_message_id", "dlq_reason", "dlq_timestamp", "delivery_count")
"""What a stream's dead letter has besides the fields of the original entry."""

FAILED_SUMMARY: Final = "Analysis unavailable - LLM service error"
"""The summary of an event whose analysis failed; its score of 50 is not a score."""

FAILED_REASONING: Final = "Failed to analyze"
"""How the reasoning of a failed analysis begins."""

FAILED_VERDICT: Final = "verification_failed"
"""The verdict of a verifier that failed; its event has no score."""

FEEDBACK_TRUTH: Final[Mapping[str, bool]] = {
    "accurate": True,
    "correct": True,
    "false_positive": False,
    "missed_threat": True,
    "missed_detection": True,
    "severity_wrong": True,
    "wrong_severity": True,
}
"""Whether there was something, by the type of an operator's feedback, in the older and newer vocabulary."""

FEEDBACK_MISSES: Final = ("missed_threat", "missed_detection")
"""The types of feedback that say that the deployment missed what was there."""

FEEDBACK_ACCEPTED: Final = ("accurate", "correct")
"""The types of feedback that object to nothing, not even the level: there is another word for that."""

RISK_CUTS: Final = (29, 59, 84)
"""The highest score that is still low, medium and high (inclusive)."""

RISK_LEVELS: Final = ("low", "medium", "high", "critical")


@dataclass(frozen=True)
class Setting:
    """One tunable setting of a deployment.

    Attributes
    ----------
    kind : {"float", "int", "list", "str", "bool"}
        How its text is read; lists are JSON lists of strings.
    default : object
        The default of the first generation (`LATER_DEFAULTS` has those of the others); None where it has
        no such setting.
    minimum, maximum : float or None
        The range, both ends included; None where there is no limit.
    unit : str
        The unit of the value, or ``""``.
    """

    kind: Literal["float", "int", "list", "str", "bool"]
    default: object
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""


TUNABLE: Final[Mapping[str, Setting]] = {
    "detection_confidence_threshold": Setting("float", 0.5, 0, 1),
    "fast_path_confidence_threshold": Setting("float", 0.9, 0, 10),
    "fast_path_object_types": Setting("list", ("person",)),
    "batch_window_seconds": Setting("int", 90, 1, unit="s"),
    "batch_idle_timeout_seconds": Setting("int", 30, 1, unit="s"),
    "batch_check_interval_seconds": Setting("float", 10.0, 1, 60, unit="s"),
    "batch_max_detections": Setting("int", None, 1, 10_000),
    "severity_low_max": Setting("int", None, 0, 100),
    "severity_medium_max": Setting("int", None, 0, 100),
    "severity_high_max": Setting("int", None, 0, 100),
    "retention_days": Setting("int", 30, 1, unit="days"),
    "log_retention_days": Setting("int", 7, 1, unit="days"),
    "dedupe_ttl_seconds": Setting("int", 300, 60, 3600, unit="s"),
    "queue_max_size": Setting("int", 10_000, 100, 100_000),
    "queue_overflow_policy": Setting("str", None),
    "queue_backpressure_threshold": Setting("float", None, 0.5, 1),
    "gpu_poll_interval_seconds": Setting("float", 5.0, 1, 60, unit="s"),
    "gpu_stats_history_minutes": Setting("int", 60, 1, 1440, unit="min"),
    "use_redis_streams": Setting("bool", None),
    "redis_key_prefix": Setting("str", None),
    "camera_timezone": Setting("str", None),
}
"""Tunable settings by name; the environment variable is the name in upper case."""

OVERFLOW_POLICIES: Final = ("reject", "dlq", "drop_oldest")
"""What ``queue_overflow_policy`` may be."""

_SINCE_POSTGRES: Final[Mapping[str, object]] = {
    "batch_check_interval_seconds": 5.0,
    "batch_max_detections": 500,
    "severity_low_max": 29,
    "severity_medium_max": 59,
    "severity_high_max": 84,
    "queue_backpressure_threshold": 0.8,
    "redis_key_prefix": KEY_PREFIX,
}
LATER_DEFAULTS: Final[Mapping[str, Mapping[str, object]]] = {
    "postgres": _SINCE_POSTGRES,
    "streams": {
        **_SINCE_POSTGRES,
        "detection_confidence_threshold": 0.4,
        # No confidence reaches it: the fast path is closed.
        "fast_path_confidence_threshold": 2.0,
        "fast_path_object_types": (),
        "queue_overflow_policy": "dlq",
        "use_redis_streams": True,
    },
}
"""The defaults that a later generation has instead, by generation and setting."""
