"""The ORM models of a first-generation deployment, and the column type that keeps times in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, ForeignKey, Index, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Base class of all models."""


class UTCDateTime(TypeDecorator[datetime]):
    """A point in time that is UTC-aware in Python on every database.

    SQLite stores naive text and gives naive values back; asyncpg refuses aware values for naive columns.
    Naive values that come in are taken as UTC.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the value as UTC, aware for PostgreSQL and naive for SQLite."""
        if value is None:
            return None
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return aware.replace(tzinfo=None) if dialect.name == "sqlite" else aware

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the stored value as an aware UTC datetime."""
        if value is None:
            return None
        stored: datetime = value
        return stored.replace(tzinfo=UTC) if stored.tzinfo is None else stored.astimezone(UTC)


def _now() -> datetime:
    return datetime.now(UTC)


class Camera(Base):
    """A camera, whose images arrive in one folder."""

    __tablename__ = "cameras"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    # The guide itself adds a camera with an id and a name alone.
    folder_path: Mapped[str] = mapped_column(default="")
    status: Mapped[str] = mapped_column(default="online")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=_now)
    last_seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    detections: Mapped[list[Detection]] = relationship(back_populates="camera", cascade="all, delete-orphan")
    events: Mapped[list[Event]] = relationship(back_populates="camera", cascade="all, delete-orphan")


class Detection(Base):
    """One object that the detector saw in one image, at or above the threshold then in force."""

    __tablename__ = "detections"
    __table_args__ = (
        Index("idx_detections_camera_id", "camera_id"),
        Index("idx_detections_detected_at", "detected_at"),
        Index("idx_detections_camera_time", "camera_id", "detected_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    camera_id: Mapped[str] = mapped_column(ForeignKey("cameras.id", ondelete="CASCADE"))
    file_path: Mapped[str]
    file_type: Mapped[str | None]
    detected_at: Mapped[datetime] = mapped_column(UTCDateTime, default=_now)
    object_type: Mapped[str | None]
    confidence: Mapped[float | None]
    bbox_x: Mapped[int | None]
    bbox_y: Mapped[int | None]
    bbox_width: Mapped[int | None]
    bbox_height: Mapped[int | None]
    thumbnail_path: Mapped[str | None]

    camera: Mapped[Camera] = relationship(back_populates="detections")


class Event(Base):
    """What the reasoner made of one batch of detections."""

    __tablename__ = "events"
    __table_args__ = (
        Index("idx_events_camera_id", "camera_id"),
        Index("idx_events_started_at", "started_at"),
        Index("idx_events_risk_score", "risk_score"),
        Index("idx_events_reviewed", "reviewed"),
        Index("idx_events_batch_id", "batch_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    # Not unique: duplicate events of one batch were a real race.
    batch_id: Mapped[str]
    camera_id: Mapped[str] = mapped_column(ForeignKey("cameras.id", ondelete="CASCADE"))
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    risk_score: Mapped[int | None]
    risk_level: Mapped[str | None]
    summary: Mapped[str | None] = mapped_column(Text)
    reasoning: Mapped[str | None] = mapped_column(Text)
    detection_ids: Mapped[str | None] = mapped_column(Text)
    reviewed: Mapped[bool] = mapped_column(default=False)
    notes: Mapped[str | None] = mapped_column(Text)
    is_fast_path: Mapped[bool] = mapped_column(default=False)

    camera: Mapped[Camera] = relationship(back_populates="events")
    feedback: Mapped[EventFeedback | None] = relationship(
        back_populates="event", cascade="all, delete-orphan", uselist=False
    )


class EventFeedback(Base):
    """An operator's verdict on one event; at most one each."""

    __tablename__ = "event_feedback"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"), unique=True)
    feedback_type: Mapped[str]
    notes: Mapped[str | None] = mapped_column(Text)
    expected_severity: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=_now)

    event: Mapped[Event] = relationship(back_populates="feedback")


class GPUStats(Base):
    """One sample of the accelerator: percent, bytes, degrees Celsius, frames per second."""

    __tablename__ = "gpu_stats"
    __table_args__ = (Index("idx_gpu_stats_recorded_at", "recorded_at"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    recorded_at: Mapped[datetime] = mapped_column(UTCDateTime, default=_now)
    gpu_utilization: Mapped[float | None]
    memory_used: Mapped[int | None]
    memory_total: Mapped[int | None]
    temperature: Mapped[float | None]
    inference_fps: Mapped[float | None]
