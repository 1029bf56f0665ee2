"""Reading TensorFlow.js' files, with made-up ones."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar.errors import ModelError
from avatar.train.pretrained.tfjs import Tensors, parse_layout, read_tensors

PLAIN = {"name": "plain", "shape": [2, 2], "dtype": "float32"}
BYTES = {"name": "bytes", "shape": [3], "dtype": "float32",
         "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}}  # fmt: skip
HALVES = {"name": "halves", "shape": [], "dtype": "float32", "quantization": {"dtype": "float16"}}
WHOLE = {"name": "whole", "shape": [1], "dtype": "int32"}
NUMBERS = (
    np.array([[1, 2], [3, 4]], "<f4").tobytes()
    + bytes([0, 2, 255])
    + np.array(0.25, "<f2").tobytes()
    + np.array([-7], "<i4").tobytes()
)
SCRIPT = (
    'a.exports={format:"x",weightsManifest:[{paths:["g"],weights:[{name:"plain",shape:[2,2],dtype:"float32"},'
    '{name:"bytes",shape:[3],dtype:"float32",quantization:{dtype:"uint8",scale:.5,min:-1}},'
    '{name:"halves",shape:[],dtype:"float32",quantization:{dtype:"float16",original:!0}},'
    '{name:"whole",shape:[1],dtype:"int32",more:null}]}]};more(1)'
)


def layout_of(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"weightsManifest": [{"weights": list(entries)}]}).encode()


def check(arrays: dict[str, Any]) -> None:
    assert list(arrays) == ["plain", "bytes", "halves", "whole"]
    assert arrays["plain"].tolist() == [[1, 2], [3, 4]]
    assert arrays["bytes"].tolist() == [-1, 0, 126.5]
    assert arrays["halves"].tolist() == 0.25
    assert arrays["whole"].tolist() == [-7]
    assert [array.dtype for array in arrays.values()] == ["float32", "float32", "float32", "int32"]


@pytest.mark.parametrize("form", ["graph", "list", "groups"])
def test_all_kinds_of_numbers_are_read(tmp_path: Path, form: str) -> None:
    entries = [PLAIN, BYTES, HALVES, WHOLE]
    layouts: dict[str, Any] = {
        "graph": {"modelTopology": {}, "weightsManifest": [{"weights": entries}]},
        "list": [{"weights": entries, "paths": ["one"]}],
        "groups": [{"weights": entries[:2]}, {"weights": entries[2:]}],
    }
    (tmp_path / "layout.json").write_text(json.dumps(layouts[form]))
    (tmp_path / "numbers.bin").write_bytes(NUMBERS)
    check(read_tensors(tmp_path / "layout.json", tmp_path / "numbers.bin"))


def test_scripts_are_unwrapped(tmp_path: Path) -> None:
    (tmp_path / "layout.js").write_text(SCRIPT)
    (tmp_path / "numbers.js").write_text(f'a.exports="{base64.b64encode(NUMBERS).decode()}"')
    check(read_tensors(tmp_path / "layout.js", tmp_path / "numbers.js"))


@pytest.mark.parametrize("script", ["", 'a.exports="?"', 'a.exports="AAA"', 'a.exports="";b.exports=""'])
def test_a_script_without_numbers_is_refused(tmp_path: Path, script: str) -> None:
    (tmp_path / "layout.json").write_bytes(layout_of(PLAIN))
    (tmp_path / "numbers.js").write_text(script)
    with pytest.raises(ModelError, match=r"numbers\.js"):
        read_tensors(tmp_path / "layout.json", tmp_path / "numbers.js")


@pytest.mark.parametrize("change", [-1, 1])
def test_files_that_do_not_belong_together_are_refused(tmp_path: Path, change: int) -> None:
    (tmp_path / "layout.json").write_bytes(layout_of(PLAIN))
    (tmp_path / "numbers.bin").write_bytes(bytes(16 + change))
    with pytest.raises(ModelError, match=f"holds {16 + change} bytes of numbers, .* describes 16"):
        read_tensors(tmp_path / "layout.json", tmp_path / "numbers.bin")


@pytest.mark.parametrize(
    "layout",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'[{"weights": [3]}]',
        layout_of(PLAIN, PLAIN),
        layout_of({**PLAIN, "shape": 4}),
        layout_of({**PLAIN, "shape": [-1]}),
        layout_of({**PLAIN, "shape": [2.5]}),
        layout_of({**PLAIN, "shape": [1] * 9}),
        layout_of({**PLAIN, "dtype": "string"}),
        layout_of({**BYTES, "dtype": "int32"}),
        layout_of({**BYTES, "quantization": {"dtype": "uint8", "scale": "NaN", "min": 0}}),
        layout_of({**BYTES, "quantization": {"dtype": "uint8"}}),
    ],
)
def test_a_layout_with_mistakes_is_refused(layout: bytes) -> None:
    with pytest.raises(ModelError, match=r"^here "):
        parse_layout(layout, "here")


@pytest.mark.parametrize(
    "script", ["no manifest", "weightsManifest:f(1)", "weightsManifest:[{a:1}", "weightsManifest:["]
)
def test_a_script_with_mistakes_is_refused(script: str) -> None:
    with pytest.raises(ModelError, match=r"^here "):
        parse_layout(script.encode(), "here", is_script=True)


def test_each_tensor_is_taken_once_and_none_is_left() -> None:
    tensors = Tensors("net", {name: np.zeros(1) for name in ("a", "b/1", "b/2", "six")})
    tensors.take("a")
    with pytest.raises(ModelError, match="net has no tensor 'a'"):
        tensors.take("a")
    with pytest.raises(ModelError, match="not expected: b/1, b/2, six"):
        tensors.finish()
    tensors.drop("b/")
    with pytest.raises(ModelError, match=r"no tensor b/\*"):
        tensors.drop("b/")
    with pytest.raises(ModelError, match=r"six is \[0\.0\], expected \[6\.0\]"):
        tensors.expect("six", [6.0])
    tensors.finish()
