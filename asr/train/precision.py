"""How precisely training multiplies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator


def _text(value: Any) -> Any:
    """YAML reads 32 as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


#: A key of a configuration; `auto` is bf16 where the device multiplies it natively, else 32.
Precision = Annotated[Literal["auto", "32", "bf16"], BeforeValidator(_text)]


def is_bf16(precision: Precision, on_gpu: bool) -> bool:
    """Whether to multiply in bfloat16."""
    return precision == "bf16" or (precision == "auto" and _native_bf16(on_gpu))


def _native_bf16(on_gpu: bool) -> bool:
    """Whether the device multiplies bfloat16 itself; emulated, it is slower than float32."""
    if on_gpu:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch names these with an underscore, but has no other function that tells
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, bool)()) for name in checks)
