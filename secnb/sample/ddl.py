"""The tables of the generations on PostgreSQL, each as one deployment might have them after its upgrades.

`create_all` never altered a table that was there, so that columns are missing which a newer version
would have: the second generation here has no labels, no clip_path and no snooze_until, the third no
search_vector and no llm_prompt. Nothing in secnb may rely on any of them.
"""

from __future__ import annotations

from typing import Final

_CAMERAS: Final = """
CREATE TABLE cameras (
    id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL, folder_path VARCHAR NOT NULL,
    status VARCHAR NOT NULL CHECK (status IN ('online', 'offline', 'error', 'unknown')),
    created_at TIMESTAMPTZ NOT NULL, last_seen_at TIMESTAMPTZ, deleted_at TIMESTAMPTZ,
    ingestion_mode VARCHAR NOT NULL DEFAULT 'ftp',
    rtsp_url VARCHAR, rtsp_username VARCHAR, rtsp_password VARCHAR{more}
);
CREATE UNIQUE INDEX idx_cameras_name_unique ON cameras (name);
CREATE UNIQUE INDEX idx_cameras_folder_path_unique ON cameras (folder_path);
"""
_DETECTIONS: Final = """
CREATE TABLE detections (
    id SERIAL PRIMARY KEY, camera_id VARCHAR NOT NULL, file_path VARCHAR NOT NULL, file_type VARCHAR,
    detected_at TIMESTAMPTZ NOT NULL, object_type VARCHAR, confidence DOUBLE PRECISION,
    bbox_x INTEGER, bbox_y INTEGER, bbox_width INTEGER, bbox_height INTEGER, thumbnail_path VARCHAR,
    media_type VARCHAR DEFAULT 'image' CHECK (media_type IN ('image', 'video')), duration DOUBLE PRECISION,
    video_codec VARCHAR, video_width INTEGER, video_height INTEGER, enrichment_data JSONB{more},
    CONSTRAINT detections_confidence CHECK (confidence BETWEEN 0 AND 1)
);
"""
_EVENTS: Final = """
CREATE TABLE events (
    id SERIAL PRIMARY KEY, batch_id VARCHAR NOT NULL, camera_id VARCHAR NOT NULL,
    started_at {time} NOT NULL, ended_at {time}, risk_score INTEGER, risk_level VARCHAR, summary TEXT,
    reasoning TEXT, reviewed BOOLEAN NOT NULL DEFAULT false, notes TEXT,
    is_fast_path BOOLEAN NOT NULL DEFAULT false, object_types TEXT, deleted_at TIMESTAMPTZ{more},
    CHECK (risk_level IN ('low', 'medium', 'high', 'critical')), CHECK (risk_score BETWEEN 0 AND 100),
    CHECK (ended_at >= started_at)
);
CREATE TABLE event_detections (
    event_id INTEGER NOT NULL, detection_id INTEGER NOT NULL, created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (event_id, detection_id)
);
"""
_FEEDBACK: Final = """
CREATE TABLE event_feedback (
    id SERIAL PRIMARY KEY, event_id INTEGER NOT NULL UNIQUE, feedback_type VARCHAR NOT NULL, notes TEXT,
    expected_severity VARCHAR, created_at TIMESTAMPTZ NOT NULL{more}
);
"""
_REST: Final = """
CREATE TABLE gpu_stats (
    id SERIAL PRIMARY KEY, recorded_at TIMESTAMPTZ NOT NULL, gpu_utilization DOUBLE PRECISION,
    memory_used INTEGER, memory_total INTEGER, temperature DOUBLE PRECISION,
    inference_fps DOUBLE PRECISION, gpu_name VARCHAR, power_usage DOUBLE PRECISION
);
CREATE TABLE secnb_truth (detection_id INTEGER NULL, is_true INTEGER NULL, object_id INTEGER NULL);
CREATE TABLE secnb_sandbox (note TEXT NOT NULL, seed INTEGER NULL, ends_at TEXT NOT NULL);
"""
_VERIFICATIONS: Final = """
CREATE TABLE event_verifications (
    id SERIAL PRIMARY KEY, event_id INTEGER NOT NULL REFERENCES events ON DELETE CASCADE,
    verdict VARCHAR NOT NULL CHECK (verdict IN ('confirmed', 'rejected', 'uncertain', 'verification_failed')),
    scene_description TEXT, criteria JSONB, key_frame_detection_ids JSONB, engine VARCHAR NOT NULL,
    model_id VARCHAR NOT NULL, latency_ms INTEGER, created_at TIMESTAMPTZ NOT NULL
);
"""

CREATE: Final = {
    "postgres": _CAMERAS.format(more="")
    + _DETECTIONS.format(more=", search_vector TSVECTOR")
    # One stored version had its events without a time zone.
    + _EVENTS.format(time="TIMESTAMP", more=", detection_ids TEXT, llm_prompt TEXT, search_vector TSVECTOR")
    + _FEEDBACK.format(more="")
    + _REST,
    "streams": _CAMERAS.format(more=", stream_profile VARCHAR, motion_sensitivity FLOAT NOT NULL DEFAULT 0.5")
    + _DETECTIONS.format(more=", track_id INTEGER, track_confidence DOUBLE PRECISION, labels JSONB")
    + _EVENTS.format(
        time="TIMESTAMPTZ",
        more=", clip_path VARCHAR, snooze_until TIMESTAMPTZ, entities JSONB, flags JSONB, UNIQUE (batch_id)",
    )
    + _FEEDBACK.format(
        more=", actual_threat_level VARCHAR(20), suggested_score INTEGER, actual_identity VARCHAR(100), "
        "what_was_wrong TEXT, model_failures JSONB, CHECK (feedback_type IN "
        "('accurate', 'correct', 'false_positive', 'missed_threat', 'severity_wrong'))"
    )
    + _REST
    + _VERIFICATIONS,
}
"""The script that creates the tables, by generation."""

AS_GIVEN: Final = """
ALTER TABLE detections
    ALTER bbox_x TYPE DOUBLE PRECISION, ALTER bbox_y TYPE DOUBLE PRECISION,
    ALTER bbox_width TYPE DOUBLE PRECISION, ALTER bbox_height TYPE DOUBLE PRECISION,
    ALTER id TYPE BIGINT, DROP CONSTRAINT detections_confidence;
ALTER SEQUENCE detections_id_seq AS BIGINT;
ALTER TABLE secnb_truth ALTER detection_id TYPE BIGINT;
"""
"""For detections that the caller brings: with their fractions, scores and ids, whatever they are."""

FINISH: Final = """
ALTER TABLE detections ADD FOREIGN KEY (camera_id) REFERENCES cameras ON DELETE CASCADE;
ALTER TABLE events ADD FOREIGN KEY (camera_id) REFERENCES cameras ON DELETE CASCADE;
ALTER TABLE event_detections ADD FOREIGN KEY (event_id) REFERENCES events ON DELETE CASCADE,
    ADD FOREIGN KEY (detection_id) REFERENCES detections ON DELETE CASCADE;
ALTER TABLE event_feedback ADD FOREIGN KEY (event_id) REFERENCES events ON DELETE CASCADE;
CREATE INDEX idx_detections_camera_id ON detections (camera_id);
CREATE INDEX idx_detections_detected_at ON detections (detected_at);
CREATE INDEX idx_detections_camera_time ON detections (camera_id, detected_at);
CREATE INDEX idx_detections_camera_object_type ON detections (camera_id, object_type);
CREATE INDEX idx_event_detections_detection_id ON event_detections (detection_id);
CREATE INDEX idx_events_camera_id ON events (camera_id);
CREATE INDEX idx_events_started_at ON events (started_at);
CREATE INDEX idx_events_risk_score ON events (risk_score);
CREATE INDEX idx_events_reviewed ON events (reviewed);
CREATE INDEX idx_events_batch_id ON events (batch_id);
CREATE INDEX idx_gpu_stats_recorded_at ON gpu_stats USING brin (recorded_at);
SELECT setval(pg_get_serial_sequence(name, 'id'), max(id)) FROM (
    SELECT 'detections' AS name, id FROM detections
    UNION ALL SELECT 'events', id FROM events
    UNION ALL SELECT 'event_feedback', id FROM event_feedback
) AS numbered GROUP BY name HAVING max(id) > 0;
ANALYZE;
"""
"""What comes after the rows, since one pass over all of them is quicker than one step per row."""
