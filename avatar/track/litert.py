"""Networks in TensorFlow Lite's format, run by LiteRT on the processor. Nothing else here knows LiteRT."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avatar.errors import ModelError
from avatar.records import F32
from avatar.tools.cores import usable_cores
from avatar.track.quiet import quiet_stderr

THREADS = min(2, usable_cores())
"""At a network. With two, a face takes about 0.6 of the time that it takes with one."""


class Network:
    """One network with one input, started once; not to be called by several threads at a time."""

    def __init__(self, content: bytes, name: str, *, threads: int = THREADS) -> None:
        """Start it.

        Args:
            content: of the .tflite file.
            name: what to call it in an error.
            threads: so many work at it.

        Raises:
            ModelError: LiteRT cannot be imported, or it does not understand the content.
        """
        try:
            from ai_edge_litert.interpreter import Interpreter
        except (ImportError, OSError) as error:
            raise ModelError(f"LiteRT cannot be imported ({error})") from None
        try:
            with quiet_stderr():
                self._interpreter = Interpreter(model_content=content, num_threads=threads)
                self._interpreter.allocate_tensors()
            (wanted,) = self._interpreter.get_input_details()
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"LiteRT cannot start the {name}: {reason}") from None
        self.shape: tuple[int, ...] = tuple(int(side) for side in wanted["shape"])
        """Of the input, the batch's 1 included."""
        self._input = self._interpreter.tensor(wanted["index"])
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]

    def __call__(self, values: np.ndarray, scale: float = 1.0, offset: float = 0.0) -> list[F32]:
        """All outputs, in the file's order, of `values * scale + offset`.

        Args:
            values: of the input's shape but for the batch, any type of number.
            scale: what to multiply by,
            offset: and then to add.
        """
        # The view of LiteRT's memory must be gone before the next line lets it work.
        np.multiply(values, np.float32(scale), out=self._input()[0], casting="unsafe")
        if offset:
            np.add(self._input()[0], np.float32(offset), out=self._input()[0])
        self._interpreter.invoke()
        return [np.asarray(self._interpreter.get_tensor(index), np.float32) for index in self._outputs]


def read_bundle(path: Path) -> Mapping[str, bytes]:
    """The files of a .task bundle of MediaPipe, which is a zip, by their names.

    Raises:
        ModelError: it is none.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            return {name: bundle.read(name) for name in bundle.namelist()}
    except zipfile.BadZipFile as error:
        raise ModelError(
            f"cannot start the face landmarker: {path.name} is no .task bundle ({error})"
        ) from None
