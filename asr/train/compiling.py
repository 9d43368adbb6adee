"""Kernels made for a model by `torch.compile`, for the parts of it that it pays for.

Compiled are the feed-forward modules of a Conformer and the layers of a Transformer decoder, with
dynamic shapes: one graph each for training and one for validation. Whole encoder layers would need
one for each chunk size that is drawn, and graphs with fixed shapes one for each shape of batches:
in a run of minutes neither comes back.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import nn

from asr.model import SpeechModel
from asr.model.self_attending import FeedForward
from asr.model.transformer_decoder import DecoderLayer


def compile_parts(
    model: SpeechModel, device: torch.device, bf16: bool, say: Callable[[str], None]
) -> bool:
    """Compiles parts of a model that is on `device`, and tries them.

    Returns:
        whether they are used: where compiling fails the model stays as it was, and `say` is told.
    """
    parts = [one for one in model.modules() if isinstance(one, FeedForward | DecoderLayer)]
    for part in parts:
        part.compile(dynamic=True)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(_forked(device)):
            warnings.simplefilter("ignore")
            for part in parts[:1] + [one for one in parts if isinstance(one, DecoderLayer)][:1]:
                _try(part, device, bf16)
    except Exception as error:  # a missing compiler, a kernel that does not build: of any kind
        for part in parts:
            part._compiled_call_impl = None  # what `compile` sets, and nothing takes back
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        say(f"training.compile: failed, training goes on without it ({reason[:200]})")
        return False
    return True


def _try(part: nn.Module, device: torch.device, bf16: bool) -> None:
    """One step with and one without gradients, of two shapes."""
    dim = part.norm.normalized_shape[0] if isinstance(part, FeedForward) else 0
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for rows, frames in ((2, 24), (3, 40)):
            if isinstance(part, DecoderLayer):
                dim = part.ff_norm.normalized_shape[0]
                wide = part.memory_attention.to_keys_values.in_features
                memory = torch.randn(rows, 2 * frames, wide, device=device, requires_grad=True)
                mask = torch.ones(rows, 1, 1, 2 * frames, dtype=torch.bool, device=device)
                given = torch.randn(rows, frames, dim, device=device, requires_grad=True)
                part(given, memory, mask).float().sum().backward()
            else:
                given = torch.randn(rows, frames, dim, device=device, requires_grad=True)
                part(given).float().sum().backward()
    part.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _forked(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
