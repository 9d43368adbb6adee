"""Reads `model.bin` of CTranslate2, the format of faster-whisper, for Whisper models.

A little-endian file without padding: version, name and revision of the model's kind, the number of
variables; then each variable with its name, shape, type and data; then aliases, names that stand
for a variable. A string is its length (u16), its bytes and a NUL, which the length counts.

Integer weights are quantised: int8 with a scale for each row, int16 with one for the whole matrix
(`NAME_scale`). A weight is the integer divided by its scale.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import torch
from torch import Tensor

from asr.errors import ModelError, shortened
from asr.folders import unreadable

#: The newest binary version that is known.
VERSION = 6
SPEC = "WhisperSpec"
#: Types of variables by their number in the file, since version 4.
TYPES = (
    torch.float32,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.float16,
    torch.bfloat16,
)
#: Before version 4 a file has the size of a variable's elements in place of their type.
TYPES_BY_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.float32}
SCALE = "_scale"
#: The output layer, whose weights are those of the embedding.
PROJECTION, EMBEDDING = "decoder/projection/", "decoder/embeddings/"
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class ModelBin:
    """The content of a `model.bin`.

    Attributes:
        tensors: weights by CTranslate2's names, in the type that they are stored in; quantised ones
            as float32.
        scalars: settings, by name.
        integers: the type of quantised weights; None where there are none.
    """

    tensors: dict[str, Tensor]
    scalars: dict[str, int | float]
    integers: torch.dtype | None


def read_model_bin(path: Path) -> ModelBin:
    """Reads a `model.bin`. Nothing is allocated that the file has not.

    Raises:
        ModelError: the file cannot be read, is damaged or cut off, of a newer version, or of
            another kind of model.
    """
    try:
        with path.open("rb") as file:
            variables = _variables(_Reader(path, file))
    except OSError as error:
        raise unreadable(path, error) from None
    scalars = {name: tensor.item() for name, tensor in variables.items() if not tensor.dim()}
    weights = {name: tensor for name, tensor in variables.items() if tensor.dim()}
    integers = {tensor.dtype for tensor in weights.values() if not tensor.is_floating_point()}
    plain = _dequantised(path, weights, scalars)
    return ModelBin(plain, scalars, min(integers, key=lambda each: each.itemsize, default=None))


class _Reader:
    """Numbers, strings and bytes of a file, one behind the other."""

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self.path, self.file = path, file
        self.left = os.fstat(file.fileno()).st_size

    def bytes(self, count: int) -> bytearray:
        """The next `count` bytes, for which there is no room before it is known they exist."""
        if count > self.left:
            raise ModelError(
                f"{self.path}: damaged or cut off: {count} bytes should follow where {self.left} "
                "are left; copy it again"
            )
        buffer = bytearray(count)
        if self.file.readinto(buffer) != count:
            raise ModelError(f"{self.path}: changed while it was read; copy it again")
        self.left -= count
        return buffer

    def numbers(self, format: str) -> tuple[int, ...]:
        """The next numbers, as `struct` writes their format."""
        return struct.unpack(f"<{format}", self.bytes(struct.calcsize(f"<{format}")))

    def string(self) -> str:
        """The next string."""
        (length,) = self.numbers("H")
        content = self.bytes(length)
        try:
            if content[-1:] == b"\0" and content.count(0) == 1:
                return content[:-1].decode()
        except UnicodeDecodeError:
            pass
        raise self.damaged("a name is not text")

    def damaged(self, problem: str) -> ModelError:
        """The error for a file that cannot be what it should be."""
        return ModelError(
            f"{self.path}: damaged, or not a CTranslate2 model: {problem}; copy it again"
        )


def _variables(reader: _Reader) -> dict[str, Tensor]:
    """All variables of a file by name, quantised ones as they are."""
    (version,) = reader.numbers("I")
    if version == 0 or version >= 1 << 16:
        raise reader.damaged(f"its version is {version}")
    if version > VERSION:
        raise ModelError(
            f"{reader.path}: CTranslate2's version {version} is newer than this program "
            f"understands ({VERSION}); upgrade asr, or convert the model with an older converter"
        )
    if version >= 2:
        spec = reader.string()
        reader.numbers("I")  # the revision: names and shapes have been the same in all of them
        if spec != SPEC:
            raise ModelError(
                f"{reader.path}: a CTranslate2 model of another kind ({shortened(spec, 40)!r}), "
                f"not {SPEC}"
            )
    (count,) = reader.numbers("I")
    variables: dict[str, Tensor] = {}
    for _ in range(count):
        name, tensor = _variable(reader, version)
        if name in variables:
            raise reader.damaged(f"{shortened(name, 80)!r} is in it twice")
        variables[name] = tensor
    if version >= 3:
        _check_aliases(reader, variables)
    if reader.left:
        raise reader.damaged(f"{reader.left} bytes too many")
    return variables


def _variable(reader: _Reader, version: int) -> tuple[str, Tensor]:
    name = reader.string()
    (rank,) = reader.numbers("B")
    if rank > _MOST_DIMENSIONS:
        raise reader.damaged(f"{shortened(name, 80)!r} has {rank} dimensions")
    shape = reader.numbers(f"{rank}I")
    code, size = reader.numbers("BI")
    if version >= 4:
        dtype = TYPES[code] if code < len(TYPES) else None
    else:
        dtype, size = TYPES_BY_SIZE.get(code), size * code
    if dtype is None:
        raise reader.damaged(f"{shortened(name, 80)!r} is of an unknown type ({code})")
    if size != math.prod(shape) * dtype.itemsize:
        raise reader.damaged(f"{shortened(name, 80)!r} has {size} bytes, its shape is {shape}")
    content = reader.bytes(size)
    flat = torch.frombuffer(content, dtype=dtype) if size else torch.empty(0, dtype=dtype)
    return name, flat.view(shape)


def _check_aliases(reader: _Reader, variables: dict[str, Tensor]) -> None:
    """Refuses aliases other than that of the output layer for the embedding."""
    (count,) = reader.numbers("I")
    for _ in range(count):
        alias, target = reader.string(), reader.string()
        expected = alias.replace(PROJECTION, EMBEDDING)
        if not alias.startswith(PROJECTION) or target != expected or target not in variables:
            names = f"{shortened(alias, 80)!r} for {shortened(target, 80)!r}"
            raise reader.damaged(f"an unknown alias, {names}")


def _dequantised(
    path: Path, weights: dict[str, Tensor], scalars: dict[str, int | float]
) -> dict[str, Tensor]:
    """The weights without scales: integers become float32."""
    plain = {}
    for name, tensor in weights.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in weights:
            continue
        if tensor.is_floating_point():
            plain[name] = tensor
            continue
        scale = weights.get(name + SCALE)
        if scale is None and name + SCALE in scalars:
            scale = torch.tensor([scalars.pop(name + SCALE)])
        if (
            scale is None
            or scale.shape not in ((1,), (len(tensor),))
            or not bool((scale > 0).all())
        ):
            raise ModelError(
                f"{path}: damaged: {shortened(name, 80)!r} is quantised and has no scale that fits"
            )
        plain[name] = tensor.float() / scale.float().view(-1, *[1] * (tensor.dim() - 1))
    return plain
