"""The samples of a whole corpus on the GPU: gathered and augmented there.

What is computed is that of `asr/data/augment.py`, with the same draws; only the arithmetic is
batched. Speeds are not computed for each batch: every utterance lies there once for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from asr.data.augment import SILENCE, Augmenter, Noises, change_speed
from asr.data.dataset import Batch, RenderPlan
from asr.data.render_plan import Key, key_of
from asr.data.samples import SampleCache, cut_samples
from asr.errors import TrainingError

if TYPE_CHECKING:
    from lhotse.cut import Cut


@dataclass(frozen=True)
class Store:
    """Many stretches of sound in one int16 tensor (N,)."""

    samples: Tensor

    def at(self, places: Tensor) -> Tensor:
        """The samples at `places` (any shape) as float32 in [-1, 1]."""
        return self.samples[places].float() * (1 / 32768)


class DeviceSound:
    """Puts batches together from their render plans.

    Args:
        speech: all utterances at all speeds. noise: all noise clips, None where none is added.
        responses: room responses (R, L) float32, zero behind their end; None for no rooms.
    """

    def __init__(self, speech: Store, noise: Store | None, responses: Tensor | None) -> None:
        self.speech = speech
        self.noise = noise
        self.responses = responses

    @torch.no_grad()
    def render(self, batch: Batch) -> Batch:
        """The batch with its samples; unchanged where it has no render plan. Never synchronises."""
        render_plan = batch.render_plan
        if render_plan is None:
            return batch
        places = torch.arange(render_plan.width, device=render_plan.starts.device)
        inside = places < batch.lengths[:, None]
        samples = self.speech.at(_gathered(render_plan, places)) * inside
        count = batch.lengths.clamp(min=1)
        if self.responses is not None:
            samples = in_rooms(samples, count, inside, self.responses, render_plan.rooms)
        if self.noise is not None:
            begin, size, at = (part[:, None] for part in render_plan.clips.unbind(1))
            stretch = self.noise.at(begin + (at + places) % size.clamp(min=1)) * inside
            stretch = stretch * (size > 0)
            samples = with_noise(samples, stretch, count, render_plan.snr_db)
        samples = louder(samples, render_plan.gains)
        return replace(batch, samples=samples, render_plan=None)


def in_rooms(
    samples: Tensor, count: Tensor, inside: Tensor, responses: Tensor, rooms: Tensor
) -> Tensor:
    """`add_room` for rows (B, N): each through the response of its number, -1 through none.

    All rows are transformed, also those that stay as they are: the shapes are then those of the
    buckets, and the plans of the transform are made once.
    """
    size = fast_size(samples.shape[1] + responses.shape[1] - 1)
    spectra = torch.fft.rfft(responses[rooms.clamp(min=0)], size)
    wet = torch.fft.irfft(torch.fft.rfft(samples, size) * spectra, size)
    wet = wet[:, : samples.shape[1]] * inside
    before, after = _power(samples, count), _power(wet, count)
    wet = torch.where(after < SILENCE, wet, wet * (before / after.clamp(min=SILENCE)).sqrt())
    return torch.where((rooms >= 0)[:, None], wet, samples)


def with_noise(samples: Tensor, noise: Tensor, count: Tensor, snr_db: Tensor) -> Tensor:
    """`add_noise` for rows (B, N); rows where either is silent stay as they are."""
    power, noise_power = _power(samples, count), _power(noise, count)
    audible = (power >= SILENCE) & (noise_power >= SILENCE)
    ratio = power / noise_power.clamp(min=SILENCE) / 10 ** (snr_db[:, None] / 10)
    return samples + noise * torch.where(audible, ratio.sqrt(), 0.0)


def louder(samples: Tensor, gains: Tensor) -> Tensor:
    """`change_volume` for rows (B, N), by factors (B,)."""
    peak = samples.abs().amax(dim=1)
    most = (1 / peak.clamp(min=1e-9)).clamp(min=1.0)
    beyond = (gains > 1) & (peak * gains > 1)
    return samples * torch.where(beyond, most, gains)[:, None]


def fast_size(least: int) -> int:
    """The smallest length from `least` on that is 1, 3 or 5 times a power of two."""
    return min(odd << (-(-least // odd) - 1).bit_length() for odd in (1, 3, 5))


def store_speech(
    cuts: Sequence[Cut],
    cache: SampleCache,
    factors: Sequence[float],
    device: torch.device,
    jobs: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Store, dict[tuple[Key, float], tuple[int, int]]]:
    """The sound of `cuts` at every speed on `device`, and where each stretch of it lies.

    Args:
        cache: holds the files of the cuts. jobs: threads. progress: is told the cuts done.

    Raises:
        AudioError: a cut starts beyond the end of its audio.
        TrainingError: it does not fit on the device.
    """
    wanted = {key_of(cut): cut for cut in cuts}

    def speeds_of(cut: Cut) -> list[np.ndarray]:
        samples = cut_samples(cut, cache.rate, cache)
        return [_rounded(change_speed(samples, factor, cache.rate)) for factor in factors]

    by_key: dict[Key, list[np.ndarray]] = {}
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        futures = {pool.submit(speeds_of, cut): key for key, cut in wanted.items()}
        for done, future in enumerate(as_completed(futures), start=1):
            by_key[futures[future]] = future.result()
            if progress is not None:
                progress(done, len(wanted))
    keys = [(key, factor) for key in wanted for factor in factors]
    stretches = [stretch for key in wanted for stretch in by_key[key]]
    store, places = _stored(stretches, device)
    return store, dict(zip(keys, places, strict=True))


def store_noise(noises: Noises, device: torch.device) -> tuple[Store, list[tuple[int, int]]]:
    """The noise clips on `device`, and where each of them lies."""
    clips = [_rounded(noises.clip(number)) for number in range(len(noises.cuts))]
    return _stored(clips, device)


def store_responses(augmenter: Augmenter, device: torch.device) -> Tensor | None:
    """Room responses (R, L) on `device`, None where there are none."""
    if not augmenter.rooms:
        return None
    longest = max(len(response) for response in augmenter.rooms)
    padded = torch.zeros(len(augmenter.rooms), longest)
    for row, response in zip(padded, augmenter.rooms, strict=True):
        row[: len(response)] = torch.from_numpy(response)
    return padded.to(device)


def _gathered(render_plan: RenderPlan, places: Tensor) -> Tensor:
    """Where each sample of each row lies in the store, (B, N); beyond a row's end, anywhere."""
    if render_plan.starts.shape[1] == 1:
        inside = torch.minimum(places, (render_plan.sizes - 1).clamp(min=0))
        return render_plan.starts + inside
    ends = render_plan.sizes.cumsum(dim=1)
    part = torch.searchsorted(ends, places.expand(len(ends), -1).contiguous(), right=True)
    part = part.clamp(max=ends.shape[1] - 1)
    within = places - (ends - render_plan.sizes).gather(1, part)
    last = (render_plan.sizes.gather(1, part) - 1).clamp(min=0)
    return render_plan.starts.gather(1, part) + torch.minimum(within, last)


def _power(samples: Tensor, count: Tensor) -> Tensor:
    """Mean power of rows whose samples beyond `count` (B,) are zero, (B, 1)."""
    return samples.square().sum(dim=1, keepdim=True) / count[:, None]


def _rounded(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def _stored(
    stretches: Sequence[np.ndarray], device: torch.device
) -> tuple[Store, list[tuple[int, int]]]:
    ends = np.cumsum([0, *(len(stretch) for stretch in stretches)])
    total = max(int(ends[-1]), 1)  # an index needs something to point at
    try:
        samples = torch.zeros(total, dtype=torch.int16, device=device)
    except RuntimeError as error:  # of which running out of memory is one
        raise TrainingError(
            f"the sound of the corpus, {total * 2 / 2**30:.1f} GiB with all its speeds, does not "
            f"fit on {device} ({str(error).splitlines()[0]}); set data.cache=memory"
        ) from None
    places = [(int(end) - len(one), len(one)) for one, end in zip(stretches, ends[1:], strict=True)]
    for (start, size), stretch in zip(places, stretches, strict=True):
        samples[start : start + size] = torch.from_numpy(stretch)
    return Store(samples), places
