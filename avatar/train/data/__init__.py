"""Clips of people made ready for training: a cache on disk, and samples out of it."""
