"""Faces and people in pictures, found with MediaPipe.

`FaceTracker` follows one face through a video, `FaceFinder` finds the faces of a still picture,
`PersonSegmenter` tells a person from the background.

Privacy: the notice of MediaPipe Tasks 1.2 says that it sends figures about its performance and use to Google.
No pictures, by that notice, and there is no switch for it. The tracker works the same where this is blocked.
"""

from avatar.track.finder import FaceFinder
from avatar.track.segmenter import PersonSegmenter
from avatar.track.tracker import FaceTracker

__all__ = ["FaceFinder", "FaceTracker", "PersonSegmenter"]
