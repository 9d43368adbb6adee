"""What to say when a device's memory does not hold a batch."""

from __future__ import annotations

from asr.data.dataset import Batch
from asr.errors import TrainingError


def out_of_memory(batch: Batch, error: BaseException) -> TrainingError:
    """Names the batch and the setting to lower."""
    rows, longest = batch.samples.shape
    shown = ", ".join(batch.ids[:5]) + (f" and {rows - 5} more" if rows > 5 else "")
    labels = int(batch.token_lengths.max()) if batch.token_lengths is not None else 0
    detail = str(error).split(". ")[0]
    return TrainingError(
        f"the device's memory does not hold a batch of {rows} utterances ({shown}), "
        f"{batch.seconds:.0f} s of audio, {longest} samples and {labels} labels in the longest: "
        f"lower data.batch_seconds (and raise training.accumulate by as much), or "
        f"data.max_seconds, or use training.precision=bf16 [{detail}]"
    )
