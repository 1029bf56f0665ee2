"""The records that travel from stage to stage. Arrays are never changed after they are made.

Coordinates
    picture or camera pixels   x right, y down, (0, 0) is the centre of the top left pixel
    crop units                 the identity's square head crop spans 0..1 in x and y; z in the same unit
    z                          smaller is nearer to the camera, as MediaPipe gives it
Colours are RGB, uint8, unless a field says otherwise. Times are nanoseconds of `tools.clock.now_ns`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

LANDMARKS = 478
"""MediaPipe's face mesh with irises: 468 skin points, then 5 per iris."""

BLENDSHAPES = 52
"""MediaPipe's (ARKit's) expression scores, 0..1; index 0 is the unused `_neutral`."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture in time: of the camera, or of the avatar made from that camera frame."""

    rgb: U8
    """(H, W, 3), C-contiguous."""
    index: int
    """Number of the camera frame, from 0; gaps mean dropped frames."""
    captured_ns: int
    """When the camera frame was taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """What is measured of the driver's face: numbers only, no pixels."""

    landmarks: F32
    """(478, 3), camera pixels."""
    blendshapes: F32
    """(52,), 0..1, MediaPipe's order (`tools.facemesh.BLENDSHAPE_NAMES`)."""
    pose: F32
    """(4, 4), canonical face to camera, MediaPipe's metric space [cm]."""
    frame_size: tuple[int, int]
    """(width, height) of the camera frame in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """The tracker's answer to one camera frame. `face` is None when none was seen."""

    face: Face | None
    index: int
    captured_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Where the avatar's face is to be, in the identity's own crop."""

    landmarks: F32
    """(478, 3), crop units: the wanted place of each landmark."""
    head: F32
    """(3, 4), rigid part of the motion: wanted = head[:, :3] @ portrait_point + head[:, 3], crop units."""
    blink: F32
    """(2,), closing of the right and left eye of the person, 0 open .. 1 shut."""
    jaw_open: float
    """0 shut .. 1 wide open."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the picture, in picture pixels. It may hang over the picture's border."""

    left: int
    top: int
    side: int


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """One person as a picture, taken apart once at enrolment; stored as an .avatar file.

    S is the side of the stored crop in pixels (256..1024): the crop at its own resolution, within limits.
    """

    name: str
    picture: U8
    """(H, W, 3), the whole picture."""
    crop: Crop
    """Where the head crop lies in `picture`."""
    texture: U8
    """(S, S, 3), the person's colours, continued past the outline so that no wall is in them."""
    alpha: U8
    """(S, S), 255 where the person is."""
    head: U8
    """(S, S), 255 where the person's head is: face, hair, ears; it moves as one."""
    plate: U8
    """(S, S, 3), the background with the person taken out."""
    landmarks: F32
    """(478, 3), crop units, as found in the picture."""
    neutral: F32
    """(478, 3), crop units: `landmarks` with the portrait's own expression taken off, pose kept."""
    blendshapes: F32
    """(52,), as found in the picture."""
    pose: F32
    """(4, 4), as found in the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Warped:
    """The person's own pixels, moved into the wanted pose."""

    person: U8
    """(S, S, 3), eyes included; between opened lips it holds nothing of use."""
    alpha: U8
    """(S, S), 255 where the person is."""
    confidence: F32
    """(G, G), 0..1: how far the moved pixels can be trusted; low where they are stretched or turn away."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """The avatar's head crop, finished."""

    rgb: U8
    """(S, S, 3), background included: it is pasted back as it is."""
