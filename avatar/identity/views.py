"""Further pictures of a person who is enrolled: each becomes one more view."""

from __future__ import annotations

from dataclasses import replace

from avatar.identity.body import on_front_body
from avatar.identity.enroll import TakenApart, inside_of
from avatar.identity.match import matched
from avatar.records import Identity
from avatar.tools.scaling import resized


def with_view(identity: Identity, picture: TakenApart) -> Identity:
    """The identity with one view more.

    Of the picture only head and neck are taken, in the front's colours and no larger than the front: a view
    that is sharper than the others would be noticed. Whether it shows the same person is not looked at.
    """
    front, view = identity.front, picture.view
    side = min(view.texture.shape[0], front.texture.shape[0])
    texture, alpha, head = (resized(layer, side) for layer in (view.texture, view.alpha, view.head))
    view = matched(replace(view, texture=texture, alpha=alpha, head=head), front)
    size = identity.picture.shape[1], identity.picture.shape[0]
    view = on_front_body(view, picture.inside, front, inside_of(identity.crop, size))
    # What a generator had worked out was of fewer views.
    return replace(identity, views=(*identity.views, view), conditioning=None)
