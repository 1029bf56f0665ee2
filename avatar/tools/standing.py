"""How two pictures of a person lie to each other: the way of the head, and what stands still."""

from __future__ import annotations

import numpy as np

from avatar.records import F32, View
from avatar.tools.facemesh import OVAL, face_model, without_expression
from avatar.tools.geometry import Similarity, fit_similarity


def head_fit(view: View, front: View) -> Similarity:
    """From the head of one view to that of another, whatever faces they make; crop units."""
    one, other = (without_expression(each.landmarks, each.blendshapes) for each in (view, front))
    return fit_similarity(one, other, face_model().rigid)


def standing(view: View, to_front: Similarity) -> F32:
    """Where what stands still in a view lies in the front's crop: as large as the head, and as far from it.

    Args:
        view: in whose crop it lies.
        to_front: as `head_fit` gives it.

    Returns:
        (2, 3), crop units of the view to those of the front.
    """
    middle = view.landmarks[list(OVAL)].mean(axis=0)
    shift = to_front(middle[None])[0, :2] - to_front.scale * middle[:2]
    return np.column_stack([to_front.scale * np.eye(2), shift]).astype(np.float32)
