"""The judges' networks: built from made-up tensors, and the real ones where they have been fetched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar import weights
from avatar.errors import ModelError
from avatar.records import U8, Face
from avatar.tools.window import cut_window, head_window, to_window
from avatar.train import pretrained
from avatar.train.pretrained.landmarks68 import face_corners
from avatar.train.pretrained.layers import MEAN_RGB, SameConv2d

Shapes = dict[str, tuple[int, ...]]


def recognition_shapes() -> Shapes:
    shapes: Shapes = {"fc": (256, 128)}

    def layer(name: str, size: int, channels: int, out: int) -> None:
        shapes[f"{name}/conv/filters"] = (size, size, channels, out)
        for part in ("conv/bias", "scale/weights", "scale/biases"):
            shapes[f"{name}/{part}"] = (out,)

    layer("conv32_down", 7, 3, 32)
    names = "32_1 32_2 32_3 64_down 64_1 64_2 64_3 128_down 128_1 128_2 256_down 256_1 256_2 256_down_out"
    before = 32
    for name in names.split():
        out = int(name.split("_")[0])
        layer(f"conv{name}/conv1", 3, before, out)
        layer(f"conv{name}/conv2", 3, out, out)
        before = out
    return shapes


def faceres_shapes() -> Shapes:
    shapes: Shapes = {"feats/kernel": (1024, 256), "age_pred/bias": (100,), "gender_pred/bias": (1,)}
    shapes["global_pooling/Mean/reduction_indices"] = (2,)

    def after(name: str, out: int) -> None:
        shapes[f"{name}_bn/batchnorm_1/sub"] = (out,)
        shapes[f"{name}_relu/Cast"] = shapes[f"{name}_relu/Const_1"] = ()

    shapes["conv1/convolution/merged_input"] = (3, 3, 3, 32)
    after("conv1", 32)
    before = 32
    for i, out in enumerate((64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024), 1):
        shapes[f"conv_dw_{i}/depthwise_kernel"] = (3, 3, before, 1)
        shapes[f"conv_dw_{i}_bn/batchnorm_1/mul"] = (before,)
        after(f"conv_dw_{i}", before)
        shapes[f"conv_pw_{i}/convolution/merged_input"] = (1, 1, before, out)
        after(f"conv_pw_{i}", out)
        before = out
    return shapes


def landmarks68_shapes() -> Shapes:
    shapes: Shapes = {"fc/weights": (256, 136), "fc/bias": (136,)}
    before = 3
    for i, out in enumerate((32, 64, 128, 256)):
        for k in range(4):
            name = f"dense{i}/conv{k}"
            if before == 3:
                shapes[f"{name}/filters"] = (3, 3, 3, out)
            else:
                shapes[f"{name}/depthwise_filter"] = (3, 3, before, 1)
                shapes[f"{name}/pointwise_filter"] = (1, 1, before, out)
            shapes[f"{name}/bias"] = (out,)
            before = out
    return shapes


NETS: dict[str, tuple[Callable[[], nn.Module], Shapes, int]] = {
    "faceres": (pretrained.load_faceres, faceres_shapes(), 224),
    "face_recognition": (pretrained.load_recognition, recognition_shapes(), 150),
    "face_landmark_68": (pretrained.load_landmarks68, landmarks68_shapes(), 112),
}


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Shapes], dict[str, Any]]:
    """Puts files of made-up numbers in the place of a network's: its tensors."""
    monkeypatch.setattr(weights, "resolve", lambda name: tmp_path / name)

    def make(name: str, shapes: Shapes) -> dict[str, Any]:
        random = np.random.default_rng(0)
        arrays = {}
        for tensor, shape in shapes.items():
            fan = np.prod(shape[:-1]) if len(shape) > 1 else 4
            value = random.normal(0, 1 / np.sqrt(fan), shape).astype("<f4")
            if tensor.endswith("_relu/Cast"):
                value = np.array(6, "<f4")
            elif tensor.endswith("_relu/Const_1"):
                value = np.array(0, "<f4")
            arrays[tensor] = value
        entries = [{"name": k, "shape": list(a.shape), "dtype": "float32"} for k, a in arrays.items()]
        (tmp_path / name).write_text(json.dumps([{"weights": entries}]))
        (tmp_path / f"{name}_weights").write_bytes(b"".join(a.tobytes() for a in arrays.values()))
        return arrays

    return make


Make = Callable[[str, Shapes], dict[str, Any]]


@pytest.mark.parametrize("name", NETS)
def test_a_network_takes_every_tensor_and_is_fixed(made_up: Make, name: str) -> None:
    load, shapes, side = NETS[name]
    made_up(name, shapes)
    net = load()
    assert not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())
    faces = torch.rand(2, 3, side, side, requires_grad=True)
    out = net(faces)
    sum(level.square().mean() for level in out).backward()
    assert faces.grad is not None
    assert float(faces.grad.abs().sum()) > 0


@pytest.mark.parametrize("name", NETS)
def test_a_tensor_too_many_or_of_another_shape_is_refused(made_up: Make, name: str) -> None:
    load, shapes, _ = NETS[name]
    made_up(name, {**shapes, "surplus": (1,)})
    with pytest.raises(ModelError, match="not expected: surplus"):
        load()
    last = next(key for key, shape in shapes.items() if len(shape) == 4)
    made_up(name, {key: shape for key, shape in shapes.items() if key != last})
    with pytest.raises(ModelError, match=f"no tensor '{last}'"):
        load()
    made_up(name, {**shapes, last: (*shapes[last][:3], shapes[last][3] + 1)})
    with pytest.raises(ModelError, match="does not fit"):
        load()


def test_the_features_have_the_sizes_that_are_promised(made_up: Make) -> None:
    made_up("faceres", faceres_shapes())
    levels = pretrained.load_faceres()(torch.rand(1, 3, 96, 64))
    assert [level.shape[1:] for level in levels] == [
        (64, 48, 32), (128, 24, 16), (256, 12, 8), (512, 6, 4), (1024, 3, 2)
    ]  # fmt: skip
    assert all(0 <= float(level.min()) and float(level.max()) <= 6 for level in levels)


def test_the_features_start_as_the_original_would(made_up: Make) -> None:
    arrays = made_up("faceres", faceres_shapes())
    picture = torch.rand(1, 3, 32, 32)
    swapped = picture.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    kernel = torch.from_numpy(arrays["conv1/convolution/merged_input"].transpose(3, 2, 0, 1).copy())
    # SAME with a stride of 2 and an even size: nothing left and above, one pixel right and below.
    x = F.conv2d(F.pad(swapped, (0, 1, 0, 1)), kernel, stride=2)
    x = F.relu6(x + torch.from_numpy(arrays["conv1_bn/batchnorm_1/sub"]).view(-1, 1, 1))
    found = F.relu6(pretrained.load_faceres().stem(picture * 255 - torch.tensor(
        [123.68, 116.779, 103.939]).view(3, 1, 1)))  # fmt: skip
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-3)


def test_the_recogniser_starts_as_the_original_would(made_up: Make) -> None:
    arrays = {
        key: torch.from_numpy(a) for key, a in made_up("face_recognition", recognition_shapes()).items()
    }
    face = torch.rand(1, 3, 150, 150)
    centred = (face * 255 - torch.tensor(MEAN_RGB).view(3, 1, 1)) / 256

    def layer(x: Tensor, name: str, **options: int) -> Tensor:
        kernel = arrays[f"{name}/conv/filters"].permute(3, 2, 0, 1)
        x = F.conv2d(x, kernel, arrays[f"{name}/conv/bias"], **options)
        scale, shift = (arrays[f"{name}/scale/{part}"].view(-1, 1, 1) for part in ("weights", "biases"))
        return x * scale + shift

    net = pretrained.load_recognition()
    x = F.relu(layer(centred, "conv32_down", stride=2))
    torch.testing.assert_close(F.relu(net.stem(centred)), x, rtol=1e-4, atol=1e-4)

    x = torch.rand(1, 32, 35, 35)
    y = layer(F.relu(layer(x, "conv32_1/conv1", padding=1)), "conv32_1/conv2", padding=1)
    torch.testing.assert_close(net.blocks[0](x), F.relu(x + y), rtol=1e-4, atol=1e-4)

    x = torch.rand(1, 128, 8, 8)
    y = layer(F.relu(layer(x, "conv256_down/conv1", stride=2)), "conv256_down/conv2", padding=1)
    assert y.shape[2:] == (3, 3)
    expected = torch.zeros(1, 256, 4, 4)
    expected[:, :128] += F.avg_pool2d(x, 2)
    expected[:, :, :3, :3] += y
    torch.testing.assert_close(net.blocks[10](x), F.relu(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (7, 2)])
def test_same_padding_keeps_tensorflows_size(size: int, kernel: int, stride: int) -> None:
    layer = SameConv2d(1, 1, kernel, stride)
    assert layer(torch.zeros(1, 1, size, size)).shape[2:] == (-(-size // stride),) * 2


def made_landmarks(turn: float = 0.0) -> Tensor:
    """(1, 478, 2): any points, with eyes along the direction `turn` [rad]."""
    points = torch.rand(1, 478, 2, generator=torch.Generator().manual_seed(0)) * 100 + 50
    points[:, 33], points[:, 263] = torch.tensor([70.0, 100.0]), torch.tensor([130.0, 100.0])
    c, s = np.cos(turn), np.sin(turn)
    return (points - 100) @ torch.tensor([[c, s], [-s, c]], dtype=torch.float32) + 100


def test_the_square_around_a_face_turns_and_moves_with_it() -> None:
    corners, turned = face_corners(made_landmarks()), face_corners(made_landmarks(0.5))
    c, s = np.cos(0.5), np.sin(0.5)
    expected = (corners - 100) @ torch.tensor([[c, s], [-s, c]], dtype=torch.float32) + 100
    torch.testing.assert_close(turned, expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(face_corners(made_landmarks() * 2 + 5), corners * 2 + 5, rtol=1e-4, atol=1e-3)
    right, down = corners[0, 1] - corners[0, 0], corners[0, 2] - corners[0, 0]
    assert float(right @ down) == pytest.approx(0, abs=1e-2)
    assert float(right.norm()) == pytest.approx(float(down.norm()))


def test_points_are_put_back_into_the_picture(made_up: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up("face_landmark_68", landmarks68_shapes())
    net = pretrained.load_landmarks68()
    seen: list[Tensor] = []

    def find_at_corners(faces: Tensor) -> Tensor:
        seen.append(faces)
        return torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]).expand(len(faces), 3, 2)

    monkeypatch.setattr(net, "forward", find_at_corners)
    landmarks = torch.cat([made_landmarks(), made_landmarks(0.5)])
    points = net.points(torch.rand(2, 3, 200, 200), landmarks)
    torch.testing.assert_close(points, face_corners(landmarks))
    assert seen[0].shape == (2, 3, 112, 112)


# The real networks.


def load_or_skip(name: str, load: Callable[[], nn.Module]) -> Any:
    """A network whose files have been fetched, or a skip with the reason."""
    try:
        for file in (name, f"{name}_weights"):
            weights.resolve(file, offline=True)
    except ModelError as error:
        pytest.skip(str(error))
    return load()


def tensor_of(rgb: U8) -> Tensor:
    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def people(
    astronaut: U8, carphone_frames: list[U8], carphone_faces: list[Face], face_landmarker_path: Path
) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """A man, the same man later, and a woman: pictures (1, 3, H, W) and landmarks (1, 478, 3)."""
    from avatar.track import FaceFinder

    with FaceFinder() as find:
        (woman,) = find(astronaut)
    man = [(carphone_frames[i], carphone_faces[i]) for i in (0, 100)]
    yield [
        (tensor_of(rgb), torch.from_numpy(face.landmarks)[None]) for rgb, face in [*man, (astronaut, woman)]
    ]


@pytest.mark.parametrize(
    ("name", "load", "limit"),
    [
        ("face_recognition", pretrained.load_recognition, 0.93),
        ("mobileface", pretrained.load_identity, 0.4),
    ],
)
def test_the_same_man_is_told_from_a_woman(
    people: list[tuple[Tensor, Tensor]], name: str, load: Callable[[], nn.Module], limit: float
) -> None:
    net = load_or_skip(name, load)
    man, later, woman = (net.embed(*person)[0] for person in people)
    assert float(man.norm()) == pytest.approx(1, abs=1e-5)
    assert float(man @ later) > limit
    assert float(man @ woman) < limit


def test_faces_of_a_window_are_known_without_being_measured(people: list[tuple[Tensor, Tensor]]) -> None:
    net = load_or_skip("mobileface", pretrained.load_identity)
    picture, landmarks = people[2]
    own = (landmarks[0] / picture.shape[-1]).numpy()
    window = head_window(own)
    cut = cut_window((picture[0].movedim(0, -1).numpy() * 255).astype(np.uint8), window, 256)
    points = torch.from_numpy(to_window(own[:, :2], window))[None] * 256
    shown = torch.from_numpy(cut).movedim(-1, 0)[None] / 255
    torch.testing.assert_close(net.embed_windows(shown, points), net.embed(shown, points))


def test_dlibs_distance_of_two_people_is_over_its_limit(people: list[tuple[Tensor, Tensor]]) -> None:
    net = load_or_skip("face_recognition", pretrained.load_recognition)
    man, later, woman = (net(net.faces(*person))[0] for person in people)
    assert float((man - later).norm()) < 0.6 < float((man - woman).norm())


@pytest.mark.parametrize(
    ("name", "load"),
    [("faceres", pretrained.load_faceres), ("nsfwjs_mobilenet", pretrained.load_perceptual)],
)
def test_features_are_farther_apart_the_more_a_picture_is_blurred(
    astronaut: U8, name: str, load: Callable[[], nn.Module]
) -> None:
    import cv2

    net = load_or_skip(name, load)
    face = np.ascontiguousarray(astronaut[:224, 112:336])
    sharp = net(tensor_of(face))
    distances = []
    for sigma in (1, 3, 6):
        blurred = net(tensor_of(np.asarray(cv2.GaussianBlur(face, (0, 0), sigma), np.uint8)))
        pairs = zip(sharp, blurred, strict=True)
        distances.append(
            sum(float((F.normalize(a) - F.normalize(b)).square().sum(1).mean()) for a, b in pairs)
        )
    assert 0.01 < distances[0] < 0.6 * distances[1]
    assert distances[1] < 0.8 * distances[2]


IBUG_OF_MEDIAPIPE = {36: 33, 39: 133, 42: 362, 45: 263, 30: 4, 33: 2, 48: 61, 54: 291, 51: 0, 57: 17, 8: 152}


def test_the_68_points_are_near_mediapipes(people: list[tuple[Tensor, Tensor]]) -> None:
    net = load_or_skip("face_landmark_68", pretrained.load_landmarks68)
    for picture, landmarks in people:
        points = net.points(picture, landmarks)[0]
        eyes = float((landmarks[0, 33, :2] - landmarks[0, 263, :2]).norm())
        off = [float((points[a] - landmarks[0, b, :2]).norm()) for a, b in IBUG_OF_MEDIAPIPE.items()]
        assert points.shape == (68, 2)
        assert float(np.mean(off)) < 0.06 * eyes


def test_the_68_points_are_those_of_the_picture_not_of_the_landmarks(
    people: list[tuple[Tensor, Tensor]],
) -> None:
    net = load_or_skip("face_landmark_68", pretrained.load_landmarks68)
    picture, landmarks = people[2]
    here = net.points(picture, landmarks)
    moved = net.points(picture.roll(4, dims=3), landmarks)
    assert (moved - here)[0].mean(dim=0).tolist() == pytest.approx([4, 0], abs=1)


def test_pictures_do_not_depend_on_their_neighbours(people: list[tuple[Tensor, Tensor]]) -> None:
    net = load_or_skip("face_landmark_68", pretrained.load_landmarks68)
    picture, landmarks = people[2]
    both = net.points(torch.cat([picture.flip(3), picture]), landmarks.expand(2, -1, -1))
    torch.testing.assert_close(both[1:], net.points(picture, landmarks), rtol=1e-4, atol=1e-2)
