"""Pictures to look at beside the figures of `bench.quality`: source, what the methods made, and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from avatar.errors import OutputError
from avatar.records import F32, U8
from avatar.tools.close_ups import boxes_of
from avatar.tools.looks import looks
from bench.scores import eyes_open, mouth_open
from bench.self_driving import SIZE, Played

TILE = 192
"""Side of a picture on the sheet [px]."""
ZOOM = TILE // 2
"""Side of the mouth, and of an eye above the other [px]."""
LINE = 15
"""Height of the line that names a row [px]."""
COLUMNS = 2


def rows_of(played: Played, methods: Sequence[str]) -> list[U8]:
    """A row for each of a clip's most telling moments.

    The mouth widest open, the eyes most shut, the face most unlike the others. From left to right: source,
    methods, truth; then mouth and eyes of the same pictures, where the source and the truth have them.
    """
    rows = []
    for i in telling(played.landmarks):
        later = [*(played.made[name].pictures[i] for name in methods), played.real.pictures[i]]
        shown = [(played.source, played.source_landmarks), *((one, played.landmarks[i]) for one in later)]
        tiles = [_scaled(picture, TILE) for picture, _ in shown]
        _write(tiles[0], f"{played.driver.clip.name} {played.driver.choice.moments[i]}")
        rows.append(np.hstack([*tiles, *(_zooms(picture, boxes_of(face[:, :2])) for picture, face in shown)]))
    return rows


def telling(landmarks: Sequence[F32]) -> list[int]:
    """Which moments are worth looking at, in order of time."""
    mouths = [mouth_open(face) for face in landmarks]
    eyes = [eyes_open(face) for face in landmarks]
    features = np.stack([looks(face) for face in landmarks])
    odd = np.linalg.norm(features - np.median(features, axis=0), axis=1)
    return sorted({int(np.argmax(mouths)), int(np.argmin(eyes)), int(np.argmax(odd))})


def write_sheet(path: Path, rows: Sequence[U8]) -> None:
    """Write the rows as a PNG, in columns one after the other.

    Raises:
        OutputError: it cannot be written.
    """
    height = -(-len(rows) // COLUMNS)
    columns = [np.vstack(rows[start : start + height]) for start in range(0, len(rows), height)]
    tallest = max(len(column) for column in columns)
    sheet = np.hstack([np.pad(one, ((0, tallest - len(one)), (0, 8), (0, 0))) for one in columns])
    try:
        written = cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise OutputError(f"{path} cannot be written: {error}") from None
    if not written:
        raise OutputError(f"{path} cannot be written")


def _zooms(picture: U8, boxes: F32) -> U8:
    """(TILE, ZOOM, 3): the mouth, and below it the right and the left eye."""
    mouth, *eyes = (_part(picture, box, ZOOM) for box in boxes)
    quarter = ZOOM // 4
    return np.vstack([mouth, *(eye[quarter : quarter + ZOOM // 2] for eye in eyes)])


def _part(picture: U8, box: F32, size: int) -> U8:
    """A square of the picture, its edge going on outside."""
    x, y, side = box.tolist()
    scale = side / size
    matrix = np.array(
        [[scale, 0, x - side / 2 + scale / 2], [0, scale, y - side / 2 + scale / 2]], np.float32
    )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(picture, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)


def _scaled(picture: U8, side: int) -> U8:
    how = cv2.INTER_AREA if side < SIZE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=how), np.uint8)


def _write(picture: U8, text: str) -> None:
    picture[:LINE] = picture[:LINE] // 4
    cv2.putText(picture, text, (4, LINE - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255,) * 3, 1, cv2.LINE_AA)
