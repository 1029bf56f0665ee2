"""What many tests start from. Files that cannot be had here skip the test and say why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import skimage.data

from avatar import weights
from avatar.errors import ModelError
from avatar.records import U8, Face, Frame, Identity


def resolve_or_skip(name: str) -> Path:
    """A file of the manifest, or a skip with the reason it cannot be had."""
    try:
        return weights.resolve(name)
    except ModelError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def face_landmarker_path() -> Path:
    """MediaPipe's model file; to ask for it is to need the face landmarker."""
    return resolve_or_skip("face_landmarker")


@pytest.fixture(scope="session")
def selfie_segmenter_path() -> Path:
    """MediaPipe's model file; to ask for it is to need the person segmenter."""
    return resolve_or_skip("selfie_segmenter")


@pytest.fixture(scope="session")
def carphone_path() -> Path:
    """A real clip of a man talking in a car: 120 frames of 176x144."""
    return resolve_or_skip("carphone_clip")


@pytest.fixture(scope="session")
def carphone_frames(carphone_path: Path) -> list[U8]:
    """The clip's 120 frames, each (144, 176, 3) RGB."""
    with av.open(str(carphone_path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


@pytest.fixture(scope="session")
def carphone_faces(carphone_frames: list[U8], face_landmarker_path: Path) -> list[Face]:
    """What the tracker sees of the man in the car: 4 s of talking at 30 fps, a face in each frame."""
    from avatar.track import FaceTracker

    with FaceTracker() as track:
        seen = [track(Frame(rgb, i, i * 33_333_333)) for i, rgb in enumerate(carphone_frames)]
    faces = [face for face in seen if face is not None]
    assert len(faces) == len(carphone_frames)
    return faces


@pytest.fixture(scope="session")
def astronaut() -> U8:
    """A smiling woman with visible teeth, (512, 512, 3) RGB; her face is 90x106 px around (225, 124)."""
    picture: U8 = np.array(skimage.data.astronaut())  # type: ignore[no-untyped-call]
    picture.flags.writeable = False
    return picture


@pytest.fixture(scope="session")
def astronaut_identity(astronaut: U8, face_landmarker_path: Path, selfie_segmenter_path: Path) -> Identity:
    """The astronaut, enrolled once; its arrays cannot be written to."""
    from avatar.pipeline import enroll_picture

    identity = enroll_picture(astronaut, name="astronaut")
    for record, fields in (
        (identity, ("picture", "plate", "neutral")),
        (identity.front, ("texture", "alpha", "head", "landmarks", "blendshapes", "pose")),
    ):
        for field in fields:
            getattr(record, field).flags.writeable = False
    return identity


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of portraits, photos and clips beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for avatars, settings and recordings, apart from those of who runs the tests."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVATAR_DATA", str(folder))
        yield folder
