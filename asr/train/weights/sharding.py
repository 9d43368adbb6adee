"""Weights that are divided among processes (PyTorch's FSDP2), and the whole of them again."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from asr.model import SpeechModel


def shard(model: SpeechModel, mesh: DeviceMesh) -> None:
    """Divides the weights of `model` among the processes of `mesh`.

    Each encoder layer is gathered when it computes. Everything else is gathered with the first of
    them and stays until the gradients are there, so that a decoder may be called in any way.
    """
    layers = getattr(model.encoder, "layers", None)
    for layer in layers if isinstance(layers, nn.ModuleList) else ():
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=False)
    register_fsdp_forward_method(model, "encode_tapped")


def is_sharded(model: nn.Module) -> bool:
    """Whether each process holds only its part of the weights."""
    return isinstance(model, FSDPModule)


def exchange_gradients(model: nn.Module, now: bool) -> None:
    """Whether the next backward pass sums the gradients of all processes."""
    cast(FSDPModule, model).set_requires_gradient_sync(now)


def local(tensor: Tensor) -> Tensor:
    """This process' part of a tensor; all of it where it is not divided."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def full_tensor(part: Tensor, like: Tensor) -> Tensor:
    """A tensor of which each process has a part, divided as the weight `like` is.

    All processes must call this.
    """
    if not isinstance(like, DTensor):
        return part
    divided = DTensor.from_local(
        part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride()
    )
    return divided.full_tensor()


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """The part of a whole tensor that this process has of the weight `like`."""
    if not isinstance(like, DTensor):
        return tensor
    tensor = tensor.to(like.device_mesh.device_type)
    return distribute_tensor(tensor, like.device_mesh, like.placements).to_local()


def total_norm(gradients: list[Tensor], divided: bool) -> Tensor:
    """The norm of all gradients, given this process' part of each."""
    norm = torch.nn.utils.get_total_norm(gradients)
    if divided:
        square = norm.square()
        torch.distributed.all_reduce(square)
        norm = square.sqrt()
    return norm
