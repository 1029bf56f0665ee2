"""Paintings and photos of all kinds: each is enrolled, and talks at the size of a video call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.capture import read_motion, read_picture
from avatar.pipeline import Renderer, enroll_picture
from avatar.records import F32, U8, Face, Identity, Motion, Observation
from avatar.retarget import Retargeter
from avatar.tools.facemesh import BLENDSHAPE_NAMES, face_height
from avatar.tools.lag import mouth_opening
from avatar.tools.placement import Rect
from avatar.track.mediapipe_landmarker import base_options, load_vision, to_image
from avatar.track.quiet import quiet_stderr
from avatar.weights import resolve

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PICTURES = [
    path.relative_to(DATA).as_posix()
    for folder in ("portraits", "photos")
    for path in sorted((DATA / folder).glob("*"))
    if path.suffix in (".jpg", ".png")
]
SIZE = (1280, 720)
UNREADABLE = {"portraits/van_gogh_224px.png"}
"""MediaPipe does not see the mouth that the network paints into so few pixels of paint, though people do."""
FRAMES = 4
SEEN_PX = 140
"""Height of a face at which MediaPipe sees painted ones best."""
BLINK = BLENDSHAPE_NAMES.index("eyeBlinkLeft")

pytestmark = pytest.mark.usefixtures("face_landmarker_path", "selfie_segmenter_path")


@pytest.fixture(scope="module")
def faces() -> list[Face]:
    """The driver of the demo."""
    return [face for face in read_motion(resolve("demo_motion")).faces if face is not None]


def moments(faces: list[Face]) -> list[int]:
    """Four moments at which the driver's mouth is ever wider open, and the eyes are open as well."""
    openings = np.array([mouth_opening(face.landmarks) for face in faces])
    blinks = np.array([face.blendshapes[BLINK] for face in faces])
    awake = np.flatnonzero(blinks < 0.3)
    levels = np.linspace(openings[awake].min(), openings[awake].max(), FRAMES)
    return [int(awake[np.abs(openings[awake] - level).argmin()]) for level in levels]


def motions(identity: Identity, faces: list[Face]) -> list[Motion]:
    """What the whole drive makes of the portrait at those moments."""
    retarget = Retargeter(identity, mode="relative", smoothing=0.0)
    retarget.prepare(faces)
    made = [retarget(Observation(face, i, i * 33_333_333)) for i, face in enumerate(faces)]
    return [made[moment] for moment in moments(faces)]


def change(one: U8, other: U8) -> U8:
    """Greatest difference of the three colours, (H, W)."""
    difference: U8 = np.abs(one.astype(np.int16) - other.astype(np.int16)).max(axis=-1).astype(np.uint8)
    return difference


def far_wall(identity: Identity, head: Rect) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where on the canvas nothing may move, (H, W): a sixth of the face's height from the person.

    And where the crop lies, outside of which nothing is ever drawn.
    """
    width, height = SIZE
    reach = max(3, round(face_height(identity.front.landmarks) * head.width / 6))
    person = cv2.resize(identity.front.alpha, (head.width, head.width)) > 0.05
    padded = np.zeros((height + 2 * head.width, width + 2 * head.width), np.uint8)
    crop = padded.copy()
    rows, columns = (slice(start + head.width, start + 2 * head.width) for start in (head.top, head.left))
    padded[rows, columns], crop[rows, columns] = person, 1
    near = cv2.dilate(padded, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    inner = np.s_[head.width : head.width + height, head.width : head.width + width]
    return near[inner] == 0, crop[inner] == 1


def shown(frame: U8, part: Rect, scale: float) -> U8:
    """A part of the frame, scaled."""
    picture = frame[part.top : part.bottom, part.left : part.right]
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="module")
def look(face_landmarker_path: Path) -> Iterator[Callable[[U8], F32 | None]]:
    """MediaPipe, less sure than we want it of webcams: it takes some painted faces for none."""
    vision = load_vision()
    options = vision.FaceLandmarkerOptions(
        base_options=base_options("face_landmarker"),
        min_face_detection_confidence=0.1,
        min_face_presence_confidence=0.1,
    )
    with quiet_stderr():
        task = vision.FaceLandmarker.create_from_options(options)

    def landmarks(rgb: U8) -> F32 | None:
        found = task.detect(to_image(rgb)).face_landmarks
        size = np.array([rgb.shape[1], rgb.shape[0], rgb.shape[1]], np.float32)
        return np.array([(p.x, p.y, p.z) for p in found[0]], np.float32) * size if found else None

    yield landmarks
    task.close()


@pytest.mark.parametrize("name", PICTURES or ["none"])
def test_a_picture_talks(
    name: str, shared_data: Path, faces: list[Face], look: Callable[[U8], F32 | None]
) -> None:
    identity = enroll_picture(read_picture(shared_data / name), name=name)
    generator = "warp" if name in UNREADABLE else "live"
    render = Renderer(identity, head_size=512, size=SIZE, mode="extend", generator=generator)
    still, place = render._composite.canvas, render._composite.placement
    wall, crop = far_wall(identity, place.head)
    assert wall.mean() > 0.02
    wanted, seen, first = [], [], None
    for index, motion in enumerate(motions(identity, faces)):
        assert np.isfinite(motion.landmarks).all()
        frame = render(motion, index, 0).rgb
        assert frame.shape == (SIZE[1], SIZE[0], 3)
        difference = change(frame, still)
        assert not difference[~crop].any()
        first = frame if first is None else first
        assert change(frame, first)[wall].max() <= 1
        assert np.percentile(difference[~wall], 99) > 10
        found = look(
            shown(frame, place.picture, SEEN_PX / (face_height(identity.front.landmarks) * place.head.width))
        )
        assert found is not None, "no face is seen in what was drawn"
        wanted.append(mouth_opening(motion.landmarks))
        seen.append(mouth_opening(found))
    assert np.argsort(seen).tolist() == np.argsort(wanted).tolist() == list(range(FRAMES))
    assert seen[-1] - seen[0] > 0.5 * (wanted[-1] - wanted[0]) > 0.03
