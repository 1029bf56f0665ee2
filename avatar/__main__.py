"""`python -m avatar` is the same as the command `avatar`."""

from __future__ import annotations

import sys

from avatar.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
