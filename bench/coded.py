"""The live program with time codes: on the camera's pictures, and carried over to the avatar's frames."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from avatar.errors import AvatarError
from avatar.live import Summary, run_live
from avatar.live.workers import Finish, Renderer, Source, Tracker, begin_of
from avatar.records import Face, Frame, Motion, Observation
from avatar.tools import clock
from bench import timecode
from bench.far_end import Sight
from bench.rig import Rig


class Codes:
    """Puts time codes on the camera's pictures, and carries them over to the avatar's frames.

    Args:
        start_ns: when the codes' time began.
    """

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.unread = 0
        """Camera pictures whose code could not be read."""
        self._by_index: dict[int, int] = {}

    def now(self) -> int:
        """The code of this moment."""
        return timecode.to_code(clock.now_ns() - self.start_ns)

    def ms(self, sight: Sight) -> float:
        """Time from the picture to this sight of it."""
        return timecode.since_ms((sight.seen_ns - self.start_ns) / 1e6, sight.code)

    def camera(self, source: Source) -> Source:
        """A source whose pictures carry the code of their time stamp."""
        return _CodedCamera(source, self.start_ns)

    def tracker(self, track: Tracker) -> Tracker:
        """A tracker that reads the code in each picture first."""

        def tracked(frame: Frame) -> Face | None:
            code = timecode.read(frame.rgb)
            if code is None:
                self.unread += 1
            else:
                self._by_index[frame.index] = code
            return track(frame)

        return tracked

    def renderer(self, render: Renderer) -> Renderer:
        """A renderer that writes on each frame the code of the camera picture of that index."""
        return _CodedRenderer(render, self._carried)

    def _carried(self, frame: Frame) -> Frame:
        code = self._by_index.get(frame.index)
        if code is None:
            return frame
        for old in [number for number in list(self._by_index) if number < frame.index]:
            del self._by_index[old]
        rgb = frame.rgb.copy()
        timecode.stamp(rgb, code)
        return replace(frame, rgb=rgb)


class _CodedRenderer:
    def __init__(self, render: Renderer, carried: Callable[[Frame], Frame]) -> None:
        self._begin = begin_of(render)
        self._carried = carried

    def __call__(self, motion: Motion, index: int, captured_ns: int) -> Frame:
        return self.begin(motion, index, captured_ns)()

    def begin(self, motion: Motion, index: int, captured_ns: int) -> Finish:
        finish = self._begin(motion, index, captured_ns)
        return lambda: self._carried(finish())


class _CodedCamera:
    def __init__(self, source: Source, start_ns: int) -> None:
        self._source = source
        self._start_ns = start_ns

    def __call__(self) -> Frame | None:
        frame = self._source()
        if frame is None:
            return None
        if isinstance(frame, Observation):
            raise AvatarError("recorded motion has no picture that could carry a time code; take a video")
        rgb = frame.rgb.copy()
        timecode.stamp(rgb, timecode.to_code(frame.captured_ns - self._start_ns))
        return replace(frame, rgb=rgb)

    @property
    def dropped(self) -> int:
        """As of the source itself."""
        return getattr(self._source, "dropped", 0)


def run_coded(
    rig: Rig, source: Source, codes: Codes, output: Callable[[Frame], None], seconds: float
) -> Summary:
    """Run the live loop with time codes; raises AvatarError if the source has no pictures."""
    if rig.tracker is None:
        raise AvatarError("recorded motion has no picture that could carry a time code; take a video")
    rig.times.reset()
    return run_live(
        codes.camera(source),
        codes.tracker(rig.tracker),
        rig.retarget,
        codes.renderer(rig.renderer),
        [output],
        stop=threading.Event(),
        fps=rig.fps,
        seconds=seconds,
        times=rig.times,
    )
