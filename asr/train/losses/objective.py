"""What is minimised: the losses of a batch and their weighted sum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asr.data.dataset import Batch
from asr.model import SpeechModel
from asr.text import Tokenizer
from asr.train.losses.config import LossConfig
from asr.train.losses.consistency import consistency_loss
from asr.train.losses.guided_attention import guided_attention_loss
from asr.train.losses.joint import IGNORED, attention_loss, ctc_loss, rows_by_start, teacher_forcing
from asr.train.losses.mwer import mwer_loss
from asr.train.losses.scheduled_sampling import with_own_labels


@dataclass(frozen=True)
class EncodedBatch:
    """What the encoder made of a batch of B rows that it was given `views` times.

    `memory` (views x B, M, D), the whole batch view after view, `lengths` (views x B,), and the
    memory at each layer with intermediate CTC.
    """

    memory: Tensor
    lengths: Tensor
    taps: list[Tensor]
    views: int = 1


class Objective:
    """The losses that a recipe asks for, as sums over labels: means over the views of a batch.

    A label counts once however many views there are.
    """

    def __init__(self, config: LossConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer

    @property
    def views(self) -> int:
        """How often each utterance of a training batch goes through the encoder."""
        return 2 if self.config.consistency_weight > 0 else 1

    def __call__(
        self, model: SpeechModel, batch: Batch, encoded: EncodedBatch, step: int | None = None
    ) -> dict[str, Tensor]:
        """`loss`, what it is made of (0 where it is not used), and counts, all scalars.

        `list_errors` of `list_words` are the word errors that are expected over n-best lists;
        `right` of `labels` are predicted right by the decoder; languages that it is to detect are
        labels too. `step` is that of training; without it nothing is measured or done that is for
        training alone.
        """
        config, views = self.config, encoded.views
        assert batch.tokens is not None
        assert batch.token_lengths is not None
        zero = encoded.memory.new_zeros((), dtype=torch.float32)
        names = ("attention", "right", "ctc", "intermediate", "consistency", "guided")
        losses = dict.fromkeys(names, zero)
        if model.decoder is not None and config.ctc_weight < 1:
            losses |= self._attention(model, batch, encoded, step)
        if model.ctc is not None and config.ctc_weight > 0:
            losses |= self._ctc(model, batch, encoded)
        part = config.intermediate_weight if encoded.taps else 0.0
        ctc = (1 - part) * losses["ctc"] + part * losses["intermediate"]
        ctc = ctc + config.consistency_weight * losses["consistency"]
        loss = config.ctc_weight * ctc + (1 - config.ctc_weight) * losses["attention"]
        loss = loss + config.guided_attention * losses.pop("guided")
        words = 0
        errors = zero
        if config.mwer is not None:
            errors = self._expected_errors(model, batch, encoded) / views
            loss = errors + config.mwer.usual_weight * loss
            words = sum(len(text.split()) for text in batch.texts)
        labels = batch.token_lengths.sum() + len(batch.ids)
        if batch.start_targets is not None and model.decoder is not None:
            labels = labels + (batch.start_targets != IGNORED).sum()
        counts = {"list_words": zero + words, "labels": labels.to(zero)}
        return {"loss": loss, **losses, "list_errors": errors, **counts}

    def _attention(
        self, model: SpeechModel, batch: Batch, encoded: EncodedBatch, step: int | None
    ) -> dict[str, Tensor]:
        assert model.decoder is not None
        assert batch.tokens is not None
        assert batch.token_lengths is not None
        config, views = self.config, encoded.views
        labels, rows = self.tokenizer.labels, len(batch.ids)
        inputs, targets = teacher_forcing(
            batch.tokens,
            batch.token_lengths,
            rows,
            labels,
            batch.starts,
            model.decoder.max_labels,
        )
        first = len(labels.start) - 1
        if batch.start_targets is not None:
            targets[:, :first] = batch.start_targets
        inputs, targets = _repeated(inputs, views), _repeated(targets, views)
        seen = (encoded.memory, encoded.lengths)
        if step is not None and config.scheduled_sampling is not None:
            share = config.scheduled_sampling.share(step)
            if share > 0:
                inputs = with_own_labels(model.decoder, inputs, *seen, labels, share)
        logits = model.decoder(inputs, *seen)
        loss, right = attention_loss(logits, targets, config.label_smoothing)
        losses = {"attention": loss / views, "right": right.float() / views}
        if step is not None and config.guided_attention:
            weights = model.decoder.attention(inputs, *seen)[:, :, :, first:]
            counts = (targets[:, first:] != IGNORED).sum(dim=1)
            losses["guided"] = guided_attention_loss(weights, counts, encoded.lengths) / views
        return losses

    def _ctc(self, model: SpeechModel, batch: Batch, encoded: EncodedBatch) -> dict[str, Tensor]:
        assert batch.tokens is not None
        assert batch.token_lengths is not None
        blank = self.tokenizer.labels.ctc_blank
        tokens = _repeated(batch.tokens, encoded.views)
        # the kernel wants lengths on the host: a GPU is waited for once, not in each of its calls
        lengths = encoded.lengths.cpu()
        token_lengths = _repeated(batch.token_lengths, encoded.views).cpu()
        # a dev loss is a mean over what can be measured; training data was checked before
        leave_out = self.config.leave_out_too_long or not model.training

        def of(log_probs: Tensor) -> Tensor:
            summed = ctc_loss(log_probs, lengths, tokens, token_lengths, blank, leave_out)
            return summed / encoded.views

        log_probs = model.ctc_log_probs(encoded.memory)
        losses = {"ctc": of(log_probs)}
        if encoded.taps:
            tapped = [of(model.ctc_log_probs(tap)) for tap in encoded.taps]
            losses["intermediate"] = torch.stack(tapped).mean()
        if encoded.views == 2:
            losses["consistency"] = consistency_loss(log_probs, encoded.lengths)
        return losses

    def _expected_errors(self, model: SpeechModel, batch: Batch, encoded: EncodedBatch) -> Tensor:
        """Summed over utterances and views; rows that are padding have no hypotheses."""
        assert self.config.mwer is not None
        rows, utterances = len(batch.samples), len(batch.ids)
        memory = encoded.memory.unflatten(0, (encoded.views, rows))[:, :utterances].flatten(0, 1)
        lengths = encoded.lengths.view(encoded.views, rows)[:, :utterances].flatten()
        groups = rows_by_start(batch, self.tokenizer.labels)
        if len(groups) == 1:
            texts = batch.texts * encoded.views
            return mwer_loss(
                model, memory, lengths, texts, self.tokenizer, self.config.mwer, groups[0][0]
            )
        total = memory.new_zeros((), dtype=torch.float32)
        for labels, places in groups:
            texts = tuple(batch.texts[place] for place in places) * encoded.views
            some = [view * utterances + p for view in range(encoded.views) for p in places]
            total = total + mwer_loss(
                model, memory[some], lengths[some], texts, self.tokenizer, self.config.mwer, labels
            )
        return total


def _repeated(tensor: Tensor, views: int) -> Tensor:
    """The rows of (B, ...) `views` times, one copy behind the other."""
    return tensor if views == 1 else torch.cat([tensor] * views)
