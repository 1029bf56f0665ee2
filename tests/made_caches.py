"""Cached clips of drawn people, ready to train on, without a video or a tracker."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from made_people import FACE_SCALE, made_face

from avatar.records import F32, U8, Face, View
from avatar.tools.facemesh import EYES, IRISES, MOUTH, OUTER_LIPS, OVAL
from avatar.train.data.clip_cache import ClipCache, PackedPictures

SIDE = 128
_SHIFT = 4


def drawn_person(landmarks: F32, side: int, seed: int) -> tuple[U8, U8]:
    """A head with hair, eyes and teeth where the landmarks (478, 3) are, and its matte: (S, S, 3) and (S, S).

    Args:
        landmarks: crop units.
        side: of the picture [px].
        seed: of the colours: who it is.
    """
    random = np.random.default_rng(seed)
    wall, hair, skin, lips, iris = (tuple(random.integers(40, 220, 3).tolist()) for _ in range(5))
    picture = np.full((side, side, 3), wall, np.uint8)
    matte = np.zeros((side, side), np.uint8)
    points = landmarks[:, :2] * side - 0.5
    face = points[list(OVAL)]
    middle = face.mean(axis=0)
    head = middle + (face - middle) * 1.35 - (0, 0.03 * side)
    cv2.fillPoly(picture, [_fixed(head)], hair, cv2.LINE_AA, _SHIFT)
    cv2.fillPoly(matte, [_fixed(head)], 255, cv2.LINE_AA, _SHIFT)
    cv2.fillPoly(picture, [_fixed(face)], skin, cv2.LINE_AA, _SHIFT)
    cv2.fillPoly(picture, [_fixed(points[list(OUTER_LIPS.ring)])], lips, cv2.LINE_AA, _SHIFT)
    cv2.fillPoly(picture, [_fixed(points[list(MOUTH.ring)])], (235, 235, 225), cv2.LINE_AA, _SHIFT)
    for eye, ring in zip(EYES, IRISES, strict=True):
        white = np.zeros((side, side), np.uint8)
        cv2.fillPoly(white, [_fixed(points[list(eye.ring)])], 255, cv2.LINE_AA, _SHIFT)
        ball = np.full((side, side, 3), 245, np.uint8)
        x, y = np.round(points[ring[0]]).astype(int).tolist()
        cv2.circle(ball, (x, y), max(1, side // 60), iris, -1, cv2.LINE_AA)
        picture = np.where(white[..., None] > 127, ball, picture)
    return picture, matte


def _fixed(line: F32) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.asarray(np.round(line * 2**_SHIFT), np.int32)


def drawn_view(face: Face, side: int, seed: int) -> View:
    """A drawn person taken apart; the face's landmarks are in crop units."""
    picture, matte = drawn_person(face.landmarks, side, seed)
    return View(picture, matte, matte, face.landmarks, face.blendshapes, face.pose)


def talking(frames: int, seed: int) -> list[Face]:
    """Faces in crop units that open and shut their mouth, blink once and turn."""
    faces = []
    for number in range(frames):
        phase = 2 * np.pi * number / frames
        expression = {
            "jawOpen": 0.35 + 0.35 * float(np.sin(2 * phase + seed)),
            "mouthSmileLeft": 0.3,
            "mouthSmileRight": 0.3,
            "eyeBlinkLeft": float(number == frames // 3),
            "eyeBlinkRight": float(number == frames // 3),
        }
        turn = (0.06 * float(np.cos(phase)), 0.15 * float(np.sin(phase)), 0.0)
        faces.append(made_face(expression, turn=turn, shift=(0.5, 0.5), scale=FACE_SCALE))
    return faces


def made_cache(person: str, clip: str, *, frames: int = 9, sources: int = 4, seed: int = 0) -> ClipCache:
    """One cached clip of a drawn person; `seed` is who it is and how he moves."""
    faces = talking(frames, seed)
    drawn = [drawn_person(face.landmarks, SIDE, seed) for face in faces]
    pictures, mattes = [one[0] for one in drawn], [one[1] for one in drawn]
    apart = np.linspace(0, frames - 1, sources).round().astype(np.int32)
    half = [np.asarray(cv2.resize(matte, (SIDE // 2, SIDE // 2)), np.uint8) for matte in mattes]
    return ClipCache(
        person=person,
        clip=clip,
        size=(SIDE + 20, SIDE + 10),
        frames=PackedPictures.pack(pictures, ".jpg"),
        mattes=PackedPictures.pack(half, ".png"),
        landmarks=np.stack([face.landmarks for face in faces]),
        blendshapes=np.stack([face.blendshapes for face in faces]),
        poses=np.stack([face.pose for face in faces]),
        crops=np.tile(np.array([8, 4, SIDE], np.int32), (frames, 1)),
        numbers=np.arange(frames, dtype=np.int32) * 3,
        sharpness=np.full(frames, 6, np.float32),
        sources=apart,
        textures=PackedPictures.pack([pictures[at] for at in apart], ".png"),
        alphas=PackedPictures.pack([mattes[at] for at in apart], ".png"),
        heads=PackedPictures.pack([mattes[at] for at in apart], ".png"),
    )


def write_caches(folder: Path, people: int = 2) -> list[Path]:
    """The files of so many people, a clip each."""
    files = []
    for number in range(people):
        file = folder / f"person{number}-1.mp4.clip"
        made_cache(f"person{number}", f"person{number}-1.mp4", seed=number).save(file, "made")
        files.append(file)
    return files
