"""What a run notes about itself while it runs, in memory that does not grow, and what it says at the end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from avatar.records import Frame, Motion, Observation
from avatar.tools import clock
from avatar.tools.lag import MotionLag
from avatar.tools.stats import NS_PER_MS, Percentiles, StageTimes

SECOND_NS = 1_000_000_000
RECENT_NS = 3 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Status:
    """How the run goes at this moment; the figures are of the last seconds."""

    seconds: float
    """Since the run began."""
    fps: float
    """Distinct camera frames handed over per second."""
    age_ms: float | None
    """Median age at hand-over; None before the first frame."""
    face: bool
    """Whether the newest camera frame had a face."""
    camera: bool
    """False while an unplugged camera is waited for."""
    dropped: int
    """Frames dropped since the run began."""
    slowest: tuple[str, float] | None
    """The slowest stage and its median [ms]."""
    resting: bool = False
    """Whether nothing is made, because nobody takes it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a whole run was like. Age, lag and stage times are separate figures: they are not to be added."""

    fps: float
    """Distinct camera frames handed over per second, between the first and the last of them."""
    age_ms: dict[str, float | None]
    """p50, p95 and p99 of the time from the camera's time stamp to the call of the first output."""
    motion_lag_ms: float | None
    """By how much the avatar's movement comes behind the driver's at equal time stamps."""
    stages_ms: dict[str, dict[str, float | None]]
    """p50 and p95 of each stage's own work; waiting for the camera is in none of them."""
    dropped: dict[str, int]
    """Frames lost on the way: at the source (not fetched in time), and in each slot (replaced by newer ones
    before they were taken)."""
    repeated: int
    """Frames a constant-rate output was given twice because no new one came in time."""
    frames: int
    """Distinct camera frames handed over."""
    no_face: int
    """Those of the tracked camera frames that had no face."""
    idle: int
    """Frames made while no camera frame came."""
    seconds: float
    """From the first hand-over to the last."""
    rested: float = 0.0
    """Seconds in which nothing was made, because nobody took it; they do not count in `fps`."""

    @property
    def dropped_total(self) -> int:
        """Drops of all slots together."""
        return sum(self.dropped.values())

    def as_json(self) -> dict[str, Any]:
        """The same as plain values for `json.dumps`."""
        return {
            "fps": round(self.fps, 2),
            "age_ms": self.age_ms,
            "motion_lag_ms": None if self.motion_lag_ms is None else round(self.motion_lag_ms, 1),
            "stages_ms": self.stages_ms,
            "dropped": self.dropped_total,
            "dropped_by_slot": self.dropped,
            "repeated": self.repeated,
            "frames": self.frames,
            "no_face": self.no_face,
            "idle": self.idle,
            "seconds": round(self.seconds, 2),
            "rested": round(self.rested, 2),
        }


@dataclass(slots=True)
class Record:
    """The counters of a run. Each is written by one thread or under the lock, and read by any."""

    times: StageTimes
    ages: Percentiles = field(default_factory=Percentiles)
    lag: MotionLag = field(default_factory=MotionLag)
    camera: bool = True
    face: bool = False
    no_face: int = 0
    idle: int = 0
    frames: int = 0
    repeated: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _began_ns: int = field(default_factory=clock.now_ns)
    _first_ns: int = 0
    _last_ns: int = 0
    _recent: deque[int] = field(default_factory=lambda: deque(maxlen=512))

    def made(self, observation: Observation, motion: Motion) -> None:
        """Note what was made of a camera frame (generator's thread)."""
        self.face = observation.face is not None
        if observation.face is None:
            self.no_face += 1
        else:
            self.lag.record(observation.captured_ns, observation.face.landmarks, motion.landmarks)

    def handed_over(self, frame: Frame) -> None:
        """Note that the first output is about to get the avatar of a new camera frame (its thread)."""
        now = clock.now_ns()
        self.ages.add((now - frame.captured_ns) / NS_PER_MS)
        with self._lock:
            self.frames += 1
            self._first_ns = self._first_ns or now
            self._last_ns = now
            self._recent.append(now)

    def repeat(self) -> None:
        """Note that an output got its last frame again (any output's thread)."""
        with self._lock:
            self.repeated += 1

    def status(self, dropped: int, *, resting: bool = False) -> Status:
        """How the run goes now."""
        now = clock.now_ns()
        with self._lock:
            since = max(now - RECENT_NS, self._first_ns)
            if len(self._recent) == self._recent.maxlen:
                # So many a second that not all of that time is kept.
                since = max(since, self._recent[0])
            count = sum(moment > since for moment in self._recent)
        span_s = (now - since) / SECOND_NS
        return Status(
            seconds=(now - self._began_ns) / SECOND_NS,
            fps=count / span_s if count and span_s > 0 else 0.0,
            age_ms=self.ages.recent(50),
            face=self.face,
            camera=self.camera,
            dropped=dropped,
            slowest=self.times.slowest(),
            resting=resting,
        )

    def summary(
        self, dropped: dict[str, int], rested_ns: Callable[[int], int] = lambda until_ns: 0
    ) -> Summary:
        """What the run was like; asked once, after its end. `rested_ns`: its rest until a moment."""
        seconds = (self._last_ns - self._first_ns) / SECOND_NS
        rested = rested_ns(self._last_ns) / SECOND_NS
        return Summary(
            fps=(self.frames - 1) / (seconds - rested) if seconds > rested else 0.0,
            age_ms=self.ages.summary(50, 95, 99),
            motion_lag_ms=self.lag.lag_ms(),
            stages_ms=self.times.summary(),
            dropped=dropped,
            repeated=self.repeated,
            frames=self.frames,
            no_face=self.no_face,
            idle=self.idle,
            seconds=seconds,
            rested=rested,
        )
