"""Measurements of the running program; `bench/README.md` says what they mean and what they do not."""
