"""The direction of imports, what `import avatar` costs, and the public names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import avatar

ROOT = Path(avatar.__file__).parent

STAGES = ("capture", "track", "retarget", "identity", "warp", "generate", "composite", "output")
SHARED = {"records", "errors", "tools", "weights"}
HEAVY = tuple(
    "ai_edge_litert aiohttp aiortc av cryptography cv2 mediapipe numpy onnx openvino pasimple PIL pulsectl "
    "pyvirtualcam segno skimage sounddevice torch".split()
)

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "records": set(),
    "tools": {"records", "errors", "weights"},
    "weights": {"errors"},
    "model": {"tools"},
    **{stage: SHARED for stage in STAGES},
    "runtime": {*SHARED, "model"},
    "generate": {*SHARED, "model", "runtime"},
    "card": {*SHARED, "warp", "generate", "composite", "runtime"},
    "train": {*SHARED, *STAGES, "model"},
    "web": SHARED,
    "audio": SHARED,
    "call": {*SHARED, "web"},
    "camera_setup": {*SHARED, "output"},
}
"""What a part of the package may import of the others; parts not listed may import all but `cli` and `train`.

The command line may import `train`: it runs it. `train` takes only what a stage shows in public, so that
stages stay free to move their insides.
"""


def part_of(module: str) -> str:
    """`avatar.capture.camera` -> `capture`; `avatar` itself -> the empty string."""
    return module.split(".")[1] if "." in module else ""


def imported(source: str, package: str) -> Iterator[str]:
    """Absolute names of what `source`, a module of `package`, imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            # `from avatar import track` imports a part just as `import avatar.track` does.
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def breaches(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """The imports of `module` that go against the arrows."""
    part = part_of(module)
    package = module if is_package else module.rpartition(".")[0]
    wrong = []
    for name in imported(source, package):
        other = part_of(name)
        if not name.startswith("avatar.") or other in (part, "__version__"):
            continue
        if other == "cli" and part != "__main__":
            wrong.append(f"{module} imports {name}: only the command line knows the command line")
        elif other == "train" and part != "cli":
            wrong.append(f"{module} imports {name}: how weights are made is nobody's business")
        elif part == "train" and other in STAGES and name.count(".") > 2:
            wrong.append(f"{module} imports {name}: train takes only what avatar.{other} itself shows")
        elif part in ALLOWED and other not in ALLOWED[part]:
            wrong.append(f"{module} imports {name}: {part} may import {sorted(ALLOWED[part]) or 'nothing'}")
    return wrong


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def test_no_module_imports_against_the_arrows() -> None:
    found = [
        line
        for module, path in modules()
        if module != "avatar"
        for line in breaches(module, path.read_text(encoding="utf-8"), is_package=path.stem == "__init__")
    ]
    assert not found, "\n".join(found)


def test_every_stage_of_the_list_exists() -> None:
    # A stage that is renamed must not slip out of the rules.
    assert {part_of(module) for module, _ in modules()} >= set(ALLOWED)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("avatar.warp", "from avatar.retarget import Retargeter"),
        ("avatar.warp.mesh", "import avatar.composite"),
        ("avatar.warp.mesh", "from ..track import FaceFinder"),
        ("avatar.warp.mesh", "from .. import track"),
        ("avatar.generate", "from avatar import pipeline"),
        ("avatar.output.window", "def late() -> None:\n    from avatar.capture import open_source"),
        ("avatar.tools.pacer", "from avatar.live import run_live"),
        ("avatar.pipeline", "from avatar.cli.main import main"),
        ("avatar.tools.facemesh", "from avatar.train.face_fit import SKIN"),
        ("avatar.pipeline", "from avatar import train"),
        ("avatar.generate.network_generator", "from avatar.train.networks import TrainedTogether"),
        ("avatar.warp.mesh", "from avatar.model.blocks import twice"),
        ("avatar.model.generator", "from avatar.records import F32"),
        ("avatar.train.tracks", "from avatar.capture.video_file import VideoFile"),
        ("avatar.train.tracks", "from avatar.pipeline import Renderer"),
    ],
)
def test_a_breach_is_found(module: str, source: str) -> None:
    assert breaches(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "avatar.warp.mesh",
            "from avatar.records import F32\nfrom avatar.warp.flow import Flow\nimport numpy",
        ),
        ("avatar.warp.mesh", "from .flow import Flow\nfrom ..tools import clock"),
        ("avatar.pipeline", "from avatar.warp import Warp\nfrom avatar.composite import Compositor"),
        ("avatar.cli.run", "from avatar.cli.arguments import size\nfrom avatar.pipeline import Renderer"),
        ("avatar.cli.train", "from avatar.train.run import run"),
        ("avatar.generate.network_file", "from avatar.model.presets import PRESETS"),
        (
            "avatar.train.tracks",
            "from avatar.capture import VideoFile\nfrom avatar.train.face_fit import SKIN",
        ),
    ],
)
def test_what_is_allowed_is_no_breach(module: str, source: str) -> None:
    assert not breaches(module, source)


@pytest.mark.parametrize(
    "code",
    [
        "import avatar",
        "import avatar.cli.main",
        "import avatar.cli.main as m\nm.build_parser().format_help()",
    ],
)
def test_nothing_heavy_is_imported_early(code: str) -> None:
    program = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_public_names() -> None:
    assert avatar.__all__ == sorted(avatar.__all__)
    assert dir(avatar) == avatar.__all__
    for name in avatar.__all__:
        assert getattr(avatar, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = avatar.no_such_name


DISTRIBUTIONS = {
    "ai_edge_litert": "ai-edge-litert",
    "cv2": "opencv-contrib-python",
    "PIL": "pillow",
    "skimage": "scikit-image",
}
"""Where the import name is not the name of the distribution."""


EXTRAS = {"train": "avatar.train", "bench": "bench"}
"""Which part of the program alone may ask for what an extra brings."""


class _ForTypesOnly(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.If | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else node


def at_run_time(source: str) -> str:
    """`source` without what only a type checker reads."""
    return ast.unparse(_ForTypesOnly().visit(ast.parse(source)))


def test_every_package_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in project["dependencies"]}
    optional = {
        extra: {re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in lines}
        for extra, lines in project["optional-dependencies"].items()
    }
    used: dict[str, set[str]] = {}
    for path in [*ROOT.rglob("*.py"), *(ROOT.parent / "bench").rglob("*.py")]:
        module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for name in imported(at_run_time(path.read_text(encoding="utf-8")), module.rpartition(".")[0]):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in ("avatar", "bench"):
                used.setdefault(DISTRIBUTIONS.get(top, top), set()).add(module)
    for extra, part in EXTRAS.items():
        declared |= {
            package
            for package in optional[extra] & set(used)
            if all(user.startswith(part) for user in used[package])
        }
    assert set(used) - declared == set(), used
