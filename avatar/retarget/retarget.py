"""The retarget stage: the driver's face to the portrait's motion, smooth and within limits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from avatar.records import F32, U8, Face, Identity, Motion, Observation
from avatar.retarget.driver import Posed, Rest, RestFinder, nearest, posed
from avatar.retarget.filters import cutoffs, filters
from avatar.retarget.idle import Idle
from avatar.retarget.proportions import keep_gaze_inside, opening_of, ratios, touch, with_lids_shut
from avatar.retarget.tuning import Tuning
from avatar.tools.close_ups import CLOSE_UP
from avatar.tools.facemesh import MOUTH, face_model
from avatar.tools.geometry import (
    Similarity,
    fit_similarity,
    rotation_from_vector,
    smoothstep,
    soft_limit,
    vector_from_rotation,
)

MotionMode = Literal["relative", "absolute"]

TURN_LIMIT = {"relative": 0.45, "absolute": 0.9}
"""How far the head may turn away from the portrait's pose [rad]; the warp has no far side to show."""
SHIFT_LIMIT = {"relative": 0.12, "absolute": 0.6}
"""How far the head may move [crop units]."""
SCALE_LIMIT = {"relative": 0.15, "absolute": 0.6}
"""How far it may come nearer or go away, as a logarithm."""
FOLLOW = {"relative": 0.7, "absolute": 1.0}
"""How much of the driver's movement about the picture the head takes."""

HOLD_NS = 400_000_000
"""Without a face the last motion is held this long,"""
EASE_NS = 1_000_000_000
"""and then eased to the resting face in this time."""
RETURN_NS = 250_000_000
"""When the face comes back the avatar goes over to it in this time.

After hold and ease the avatar is at rest, and a face that comes back is learnt anew: it may be another
person, or sit elsewhere. So it is when the camera comes back with another picture size.
"""
JAW_WIDE = 0.9
"""Gap of the lips of a mouth wide open, face frame units."""


@dataclass(frozen=True, slots=True, eq=False)
class _Reference:
    """What of the driver answers to what of the portrait."""

    driver: F32
    """(478, 3), face frame."""
    portrait: F32
    """(478, 3), face frame: the portrait's face when the driver's is `driver`."""
    turn: F32
    """(3, 3), the driver's head when the portrait's is as in the picture."""
    shift: F32
    scale: float
    ratios: F32
    rest: F32
    """(478, 3), the driver's resting face."""


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """A motion as numbers that may be mixed; all zero is the resting portrait."""

    turn: F32
    shift: F32
    scale: F32
    shape: F32
    """(478, 3), offset from the portrait's resting face, face frame."""
    blink: F32
    close_ups: F32
    """(3, CLOSE_UP, CLOSE_UP), grey levels; zeros if there are none,"""
    trust: F32
    """(1,), and how much they count."""

    def mixed(self, other: _State, share: float) -> _State:
        """This state, `share` of the way to `other`."""
        return _State(
            self.turn + np.float32(share) * (other.turn - self.turn),
            self.shift + np.float32(share) * (other.shift - self.shift),
            self.scale + np.float32(share) * (other.scale - self.scale),
            self.shape + np.float32(share) * (other.shape - self.shape),
            self.blink + np.float32(share) * (other.blink - self.blink),
            self.close_ups + np.float32(share) * (other.close_ups - self.close_ups),
            self.trust + np.float32(share) * (other.trust - self.trust),
        )

    def suited(self, ratios: F32) -> _State:
        """The same of another portrait, whose face is (478, 3) so much bigger at each place."""
        return replace(self, shape=ratios * self.shape)


REST = _State(
    np.zeros(3, np.float32),
    np.zeros(3, np.float32),
    np.zeros(1, np.float32),
    np.zeros((478, 3), np.float32),
    np.zeros(2, np.float32),
    np.zeros((3, CLOSE_UP, CLOSE_UP), np.float32),
    np.zeros(1, np.float32),
)


class Retargeter:
    """Observations to motions of one identity. Keeps state from frame to frame.

    Args:
        identity: whose face is to move.
        mode: "relative" takes the driver's motion away from his own rest, and the portrait keeps its pose;
            "absolute" takes his head's direction and place in the picture as they are.
        smoothing: as of `Tuning`.

    Attributes:
        tuning: how the motion is taken; may be set from any thread and counts from the next face on.
    """

    def __init__(self, identity: Identity, *, mode: MotionMode = "relative", smoothing: float = 1.0) -> None:
        self.tuning = Tuning(smoothing=smoothing)
        self._mode: MotionMode = mode
        model = face_model()
        self._pose = fit_similarity(model.mean, identity.front.landmarks, model.rigid)
        self._found = self._pose.undo(identity.front.landmarks)
        self._neutral = self._pose.undo(identity.neutral)
        self._blendshapes = identity.front.blendshapes
        self._filters = filters(smoothing)
        self._smoothing = smoothing
        self._wants_neutral = threading.Event()
        self.reset()

    def reset(self) -> None:
        """Forget the driver, and be at rest."""
        self._forget_driver()
        self._state = REST
        self._left = REST
        self._seen_ns: int | None = None
        self._returned_ns: int | None = None
        self._last_ns: int | None = None
        self._idle: Idle | None = None
        for one in self._filters:
            one.reset()

    def _forget_driver(self) -> None:
        self._finder = RestFinder()
        self._fixed: Rest | None = None
        self._anchor: Posed | None = None
        self._reference: _Reference | None = None
        self._prepared = False
        self._frame_size: tuple[int, int] | None = None

    def set_neutral(self) -> None:
        """Take the driver's next face for his resting face; may be called from any thread."""
        self._wants_neutral.set()

    def take_over(self, other: Retargeter) -> None:
        """Know the driver as `other` does, which moved another portrait of the same mode until now."""
        self.tuning = other.tuning
        self._finder, self._fixed, self._anchor = other._finder, other._fixed, other._anchor
        self._prepared, self._frame_size = other._prepared, other._frame_size
        self._seen_ns, self._last_ns = other._seen_ns, other._last_ns
        # In the middle of whatever the other one did: held, eased, coming back, or left alone.
        suited = ratios(self._neutral, other._neutral)
        self._state, self._left = other._state.suited(suited), other._left.suited(suited)
        self._returned_ns, self._idle = other._returned_ns, other._idle
        if other._reference is not None:
            self._reference = self._make_reference()
        if other._wants_neutral.is_set():
            self._wants_neutral.set()

    def prepare(self, faces: Sequence[Face | None]) -> None:
        """Learn the driver from a whole clip before its first frame is driven."""
        taken = [posed(face.landmarks, face.blendshapes) for face in faces if face is not None]
        if not taken:
            return
        for face in taken:
            self._finder.add(face, settle=False)
        self._finder.settle()
        self._anchor = nearest(taken, self._blendshapes, self._portrait_turn)
        self._reference = self._make_reference()
        self._prepared = True

    def __call__(self, observation: Observation) -> Motion:
        """The motion for one observation; without a face the last one is held, then eased to rest."""
        now = observation.captured_ns
        if observation.face is None:
            self._state = self._without_face(now)
        else:
            self._state = self._with_face(observation.face, observation.close_ups, now)
        self._last_ns = now
        return self._motion(self._state)

    @property
    def _portrait_turn(self) -> F32:
        return vector_from_rotation(self._pose.rotation)

    def _with_face(self, face: Face, close_ups: U8 | None, now: int) -> _State:
        changed = self._frame_size not in (None, face.frame_size)
        if not self._prepared and (changed or self._was_away(now)):
            self._forget_driver()
        self._frame_size, self._idle = face.frame_size, None
        taken = posed(face.landmarks, face.blendshapes)
        self._learn(taken)
        reference = self._reference
        assert reference is not None
        if changed or (self._last_ns is not None and self._last_ns != self._seen_ns):
            self._returned_ns, self._left = now, self._state
            for one in self._filters:
                one.reset()
        tuning = self.tuning
        self._retune(tuning.smoothing)
        state = self._filtered(self._wanted(taken, close_ups, reference, tuning), now)
        self._seen_ns = now
        if self._returned_ns is not None:
            share = (now - self._returned_ns) / RETURN_NS
            if share < 1:
                return self._left.mixed(state, float(smoothstep(share)))
            self._returned_ns = None
        return state

    def _was_away(self, now: int) -> bool:
        """Whether no face was seen for so long that it may be another one now, or sit elsewhere."""
        return self._seen_ns is not None and now - self._seen_ns > HOLD_NS + EASE_NS

    def _without_face(self, now: int) -> _State:
        if self._last_ns == self._seen_ns:
            self._left = self._state
        # Who has not been seen yet has been away for ever.
        share = 1.0 if self._seen_ns is None else (now - self._seen_ns - HOLD_NS) / EASE_NS
        eased = float(smoothstep(share))
        state = self._left.mixed(REST, eased)
        if not self.tuning.alive or eased <= 0:
            self._idle = None
            return state
        self._idle = self._idle or Idle(now)
        return self._alive(state, self._idle, now, eased)

    def _alive(self, state: _State, idle: Idle, now: int, share: float) -> _State:
        """The state with a share of the breath and the blinks of a portrait that is left alone."""
        nod, rise = idle.breath(now)
        amount = idle.blink(now) * share
        shape = with_lids_shut(self._neutral + state.shape, amount) - self._neutral
        return replace(
            state,
            turn=state.turn + np.array([share * nod, 0, 0], np.float32),
            shift=state.shift - np.array([0, share * rise, 0], np.float32),
            shape=shape,
            blink=np.maximum(state.blink, np.float32(amount)),
        )

    def _learn(self, face: Posed) -> None:
        if self._wants_neutral.is_set():
            self._wants_neutral.clear()
            self._fixed = Rest(face.shape, face.pose)
            self._reference = None
        if self._reference is not None and (self._finder.settled or self._fixed is not None):
            return
        self._finder.add(face)
        candidates = [face] if self._anchor is None else [self._anchor, face]
        self._anchor = nearest(candidates, self._blendshapes, self._portrait_turn)
        self._reference = self._make_reference()

    def _make_reference(self) -> _Reference:
        rest = self._fixed or self._finder.rest
        suited = ratios(self._neutral, rest.shape)
        if self._mode == "relative":
            pose = rest.pose
            return _Reference(
                rest.shape, self._neutral, pose.rotation, pose.shift, pose.scale, suited, rest.shape
            )
        anchor = self._anchor
        assert anchor is not None
        return _Reference(
            anchor.shape,
            self._found,
            self._pose.rotation,
            anchor.pose.shift,
            anchor.pose.scale,
            ratios(self._found, anchor.shape),
            rest.shape,
        )

    def _retune(self, smoothing: float) -> None:
        if smoothing != self._smoothing:
            self._smoothing = smoothing
            for one, (cutoff, beta) in zip(self._filters, cutoffs(smoothing), strict=True):
                one.retune(cutoff, beta)

    def _wanted(self, face: Posed, close_ups: U8 | None, reference: _Reference, tuning: Tuning) -> _State:
        mode, strength, reach = self._mode, np.float32(tuning.strength), tuning.reach
        turn = vector_from_rotation(face.pose.rotation @ reference.turn.T)
        away = (face.pose.shift - reference.shift) / reference.scale * self._pose.scale * FOLLOW[mode]
        scale = np.log(face.pose.scale / reference.scale) * FOLLOW[mode]
        shape = reference.portrait + strength * reference.ratios * (face.shape - reference.driver)
        shape, blink = touch(shape, face.shape, reference.rest)
        shape = keep_gaze_inside(shape, self._neutral, blink)
        return _State(
            soft_limit(strength * turn, reach * TURN_LIMIT[mode]),
            soft_limit(strength * away, reach * SHIFT_LIMIT[mode]),
            soft_limit(strength * np.array([scale], np.float32), reach * SCALE_LIMIT[mode]),
            (shape - self._neutral).astype(np.float32),
            np.array(blink, np.float32),
            REST.close_ups if close_ups is None else close_ups.astype(np.float32),
            np.full(1, close_ups is not None, np.float32),
        )

    def _filtered(self, state: _State, now: int) -> _State:
        seconds = 0.0 if self._last_ns is None else (now - self._last_ns) / 1e9
        turn, shift, scale, shape = self._filters
        return _State(
            turn(state.turn, seconds),
            shift(state.shift, seconds),
            scale(state.scale, seconds),
            shape(state.shape, seconds),
            state.blink,
            state.close_ups,
            state.trust,
        )

    def _motion(self, state: _State) -> Motion:
        pose = Similarity(
            self._pose.scale * float(np.exp(state.scale[0])),
            rotation_from_vector(state.turn) @ self._pose.rotation,
            self._pose.shift + state.shift,
        )
        shape = self._neutral + state.shape
        return Motion(
            landmarks=pose(shape),
            head=pose.after(self._pose.inverse()).matrix,
            blink=state.blink.copy(),
            jaw_open=float(np.clip(opening_of(shape, MOUTH) / JAW_WIDE, 0, 1)),
            close_ups=np.rint(state.close_ups).astype(np.uint8) if state.trust[0] > 0 else None,
            trust=float(state.trust[0]),
        )
