"""The records that travel from stage to stage. Arrays are never changed after they are made.

Coordinates
    picture or camera pixels   x right, y down, (0, 0) is the centre of the top left pixel
    crop units                 the square head crop of a view spans 0..1 in x and y; z in the same unit;
                               the identity's crop is that of its first view
    z                          smaller is nearer to the camera, as MediaPipe gives it
Colours are RGB, uint8, unless a field says otherwise. Times are nanoseconds of `tools.clock.now_ns`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Sign: TypeAlias = Literal["none", "badge", "card"]
"""What may be written on a frame of the avatar, see `tools.signs`: a badge, or a card in place of it."""

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
    sign: Sign = "none"
    """What is written on it, and has to stay readable in a mirror."""


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
    close_ups: U8 | None = None
    """(3, C, C), grey, C = `tools.close_ups.CLOSE_UP`: mouth, right and left eye as the camera saw them. They
    are never stored. None: no picture was there, as in a motion recording."""


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
    close_ups: U8 | None = None
    """(3, C, C), grey, of the driver as in `Observation`; None: nothing is known but landmarks."""
    trust: float = 0.0
    """How much the close-ups count, 0..1: less while the driver goes or comes."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the picture, in picture pixels. It may hang over the picture's border."""

    left: int
    top: int
    side: int


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One picture of a person taken apart, in a square crop of its own.

    S is the side of the stored crop in pixels (256..1024): the crop at its own resolution, within limits.
    """

    texture: U8
    """(S, S, 3), the person's colours, continued past the outline so that no wall is in them."""
    alpha: U8
    """(S, S), 255 where the person is."""
    head: U8
    """(S, S), 255 where the person's head is: face, hair, ears; it moves as one."""
    landmarks: F32
    """(478, 3), units of this view's crop, as found in the picture."""
    blendshapes: F32
    """(52,), as found in the picture."""
    pose: F32
    """(4, 4), as found in the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """What a generator has worked out of the person alone, once at enrolment."""

    preset: str
    """Which kind of generator."""
    weights_sha256: str
    """Of the weights file it was worked out with; it suits no other."""
    tensors: Mapping[str, F32]
    """By their names in that generator."""


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """One person as one picture or several, taken apart once at enrolment; stored as an .avatar file.

    Everything but the further views lies in the crop of the first one, the front.
    """

    name: str
    picture: U8
    """(H, W, 3), the whole picture that moves."""
    crop: Crop
    """Where the head crop lies in `picture`."""
    plate: U8
    """(S, S, 3), the background of that crop with the person taken out; S as of the front."""
    neutral: F32
    """(478, 3), crop units: the front's `landmarks` with the expression taken off, pose kept."""
    views: tuple[View, ...]
    """1..32; the first is that of `picture`, the others show the person with other faces and poses."""
    conditioning: Conditioning | None = None
    """None: to be worked out when it is needed."""

    @property
    def front(self) -> View:
        """The view of `picture`, whose crop is that of every motion."""
        return self.views[0]


@dataclass(frozen=True, slots=True, eq=False)
class Warped:
    """The person's own pixels, moved into the wanted pose."""

    person: U8
    """(S, S, 3), eyes and inner mouth included."""
    alpha: U8
    """(S, S), 255 where the person is."""
    confidence: F32
    """(G, G), 0..1: how far the moved pixels can be trusted; low where they are stretched or turn away."""
    other: Warped | None = None
    """The same of the second best view, at a smaller S; None if there is one view only."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """The avatar's head crop, finished."""

    rgb: U8
    """(S, S, 3), background included: it is pasted back as it is."""
