"""Faces and people in pictures, found with MediaPipe's models, run by LiteRT.

`FaceTracker` follows one face through a video, `FaceFinder` finds the faces of a still picture,
`PersonSegmenter` tells a person from the background.

Privacy: none of them makes a connection. MediaPipe Tasks 1.2 would: by its notice it sends figures about its
performance and use to Google, and there is no switch for it. So its models run in a loop of ours, and
MediaPipe itself is loaded only for those who ask: `FaceTracker("mediapipe")`, `--tracker mediapipe`.
"""

from avatar.track.finder import FaceFinder
from avatar.track.segmenter import PersonSegmenter
from avatar.track.tracker import FaceTracker

__all__ = ["FaceFinder", "FaceTracker", "PersonSegmenter"]
