"""Pictures of a person become an identity, and live in an .avatar file."""

from avatar.identity.enroll import TakenApart, crop_around, cut_out, take_apart, to_crop

__all__ = ["TakenApart", "crop_around", "cut_out", "take_apart", "to_crop"]
