"""Pictures of figures, for a README. Needs the extra `livehead[bench]`, which brings matplotlib."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli.arguments import check_output
from avatar.errors import AvatarError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#2a6f97", "#e07a1f", "#4f9d69", "#a23b72", "#7a7a7a", "#c9a227")
"""Of bars and curves, in this order."""
DPI = 130
ROOM = 1.55
"""Length of an axis in those of its longest bar: the labels stand behind the bars."""
SUFFIXES = (".png", ".svg", ".pdf")
MISSING = "a plot needs matplotlib, which is not here; python -m pip install 'livehead[bench]'"


def add_option(parser: argparse.ArgumentParser) -> None:
    """--plot OUT.png; `check` looks at it before anything is measured."""
    parser.add_argument(
        "--plot", type=Path, metavar="OUT.png", help="draw the figures, too (needs livehead[bench])"
    )


def check(path: Path | None) -> None:
    """Say at once what would be wrong with a plot at the end of a long run.

    Raises:
        AvatarError: matplotlib is not installed, or the file is none that it can write.
    """
    if path is None:
        return
    if path.suffix.lower() not in SUFFIXES:
        raise AvatarError(f"{path} is no picture of a plot; let it end in {', '.join(SUFFIXES)}")
    check_output(path, [])
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise AvatarError(MISSING) from None


@contextmanager
def drawn(path: Path, columns: int = 1, size: tuple[float, float] = (6.4, 3.6)) -> Iterator[list[Axes]]:
    """Axes side by side to draw into; at the end the picture is written.

    Args:
        path: of the file, see `check`.
        columns: how many axes.
        size: (width, height) of each [inch].
    """
    # Not pyplot: that opens a window where there is one, and keeps what was drawn.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1]), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, columns, number) for number in range(1, columns + 1)]
    for one in axes:
        one.grid(axis="x", color="#dddddd", linewidth=0.8)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
    yield axes
    figure.savefig(path, dpi=DPI)


def bars(
    axes: Axes, names: Sequence[str], middle: Sequence[float], most: Sequence[float], labels: Sequence[str]
) -> None:
    """A bar for each name, the first on top; a thin line from the middle value to the most, and a label.

    On a logarithmic axis a dot stands for the bar: a length would say nothing there.
    """
    places = range(len(names))
    if axes.get_xscale() == "log":
        axes.plot(middle, places, "o", color=COLOURS[0], markersize=8)
    else:
        axes.barh(places, middle, color=COLOURS[0], height=0.62)
    axes.hlines(places, middle, most, color="#333333", linewidth=1.2)
    for place, value, text in zip(places, most, labels, strict=True):
        axes.annotate(text, (value, place), (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(places, names, fontsize=9)
    axes.set_ylim(len(names) - 0.4, -0.6)
    if axes.get_xscale() == "log":
        axes.margins(x=0.3)
    else:
        axes.set_xlim(0, max(most, default=1.0) * ROOM or 1.0)


def signed(axes: Axes, machine: dict[str, object]) -> None:
    """Write under the axes what the figures were measured on."""
    axes.annotate(
        f"{machine['cpu']}, {machine['cores']} cores, commit {machine['commit']}",
        (0, 0), (0, -46), xycoords="axes fraction", textcoords="offset points", fontsize=7, color="#666666",
    )  # fmt: skip
