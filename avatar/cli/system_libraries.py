"""Says which system libraries are missing, and how to install them.

Standard library only: `make` runs it (`python -m avatar.cli.system_libraries`) before anything is installed.
"""

from __future__ import annotations

import sys

from avatar.tools.system_libraries import PACKAGES, install_line, missing_libraries

__all__ = ["install_line", "main", "missing_libraries"]


def main(argv: list[str]) -> int:
    """Print what to install, if anything; with --packages only package names. 1 if something is missing."""
    missing = missing_libraries()
    if missing and "--packages" in argv:
        print(" ".join(PACKAGES[name] for name in missing))
    elif missing:
        print(f"These system libraries are missing: {', '.join(missing)}. Install them with", file=sys.stderr)
        print(f"    {install_line(missing)}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
