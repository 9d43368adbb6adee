"""Dev losses under teacher forcing, and a sample of utterances decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import torch

from asr.data.dataset import Batch
from asr.evaluate.error_rate import Counts, count_words, number_of, total
from asr.search import SearchConfig, fitting
from asr.text import Tokenizer
from asr.train.losses.joint import rows_by_start
from asr.train.module import SUMS, SpeechTraining
from asr.train.report.attention_check import shapes
from asr.transcribe.files.segment_decoder import SegmentDecoder
from asr.transcribe.language import LanguageSetting


@dataclass(frozen=True)
class Decoded:
    """An utterance of the sample: the reference, and the hypothesis as the model writes it."""

    id: str
    reference: str
    hypothesis: str


@dataclass(frozen=True)
class DevResult:
    """Means per label over the dev batches, and the sample's word error rate (NaN: no words).

    `diagonality` and `entropy` are means over the sample, see `AttentionShape` (NaN: no attention).
    """

    loss: float
    ctc: float
    attention: float
    intermediate: float
    accuracy: float
    wer: float
    decoded: int
    sample: tuple[Decoded, ...]
    diagonality: float = float("nan")
    entropy: float = float("nan")

    def __str__(self) -> str:
        said = f", WER {self.wer:.1%} (greedy, {number_of(self.decoded, 'utterance')})"
        wer = said if self.wer == self.wer else ""
        return f"loss {self.loss:.3f}, accuracy {self.accuracy:.1%}{wer}"

    def figures(self) -> dict[str, float]:
        """Everything but the sample, by the names of the log."""
        names = (
            *("loss", "ctc", "attention", "intermediate", "accuracy", "wer"),
            *("diagonality", "entropy"),
        )
        return {name: getattr(self, name) for name in names}


class Validator:
    """Measures a model on the same dev batches each time.

    Args:
        batches: batches of this process' part of the dev set.
        sample: batches of this process' part of the utterances to decode.
        normalize: writes both sides before word errors are counted.
        limit: how many of `batches` to use; None for all.
    """

    def __init__(
        self,
        batches: Iterable[Batch],
        sample: Iterable[Batch],
        tokenizer: Tokenizer,
        normalize: Callable[[str], str],
        limit: int | None = None,
    ) -> None:
        self.batches = batches
        self.sample = sample
        self.tokenizer = tokenizer
        self.normalize = normalize
        self.limit = limit

    @torch.no_grad()
    def run(self, module: SpeechTraining) -> DevResult:
        """Measures the weights that `module` has now; all processes get the same result."""
        module.model.eval()
        try:
            with module.trainer.precision_plugin.val_step_context():
                sums = self._losses(module)
            decoded, counts = self._decode(module)
            looked = self._attention_sums(module)
        finally:
            module.model.train()
        more = [counts.errors, counts.length, len(decoded), *looked]
        totals = torch.cat((sums, sums.new_tensor(more)))
        if module.trainer.world_size > 1:
            torch.distributed.all_reduce(totals)
        names = (*SUMS, "errors", "words", "decoded", "diagonality", "entropy", "judged")
        told = dict(zip(names, totals.tolist(), strict=True))
        labels = told["labels"] or float("nan")
        return DevResult(
            **{name: told[name] / labels for name in ("loss", "ctc", "attention", "intermediate")},
            accuracy=told["right"] / labels,
            wer=told["errors"] / (told["words"] or float("nan")),
            decoded=int(told["decoded"]),
            sample=tuple(decoded),
            diagonality=told["diagonality"] / (told["judged"] or float("nan")),
            entropy=told["entropy"] / (told["judged"] or float("nan")),
        )

    def _losses(self, module: SpeechTraining) -> torch.Tensor:
        sums = torch.zeros(len(SUMS), device=module.device)
        for batch in islice(self.batches, self.limit):
            sums += module.losses(batch.to(module.device))
        return sums

    @torch.no_grad()
    def attention(self, module: SpeechTraining) -> tuple[float, float]:
        """`diagonality` and `entropy` of a `DevResult`, without the rest; the same everywhere."""
        module.model.eval()
        try:
            sums = torch.tensor(self._attention_sums(module), device=module.device)
        finally:
            module.model.train()
        if module.trainer.world_size > 1:
            torch.distributed.all_reduce(sums)
        diagonality, entropy, judged = sums.tolist()
        return diagonality / (judged or float("nan")), entropy / (judged or float("nan"))

    def _attention_sums(self, module: SpeechTraining) -> tuple[float, float, float]:
        """Sums of diagonality and entropy over the sample's first batch, and of how many."""
        found = []
        for batch in islice(self.sample, 1):
            found = shapes(module.model, batch.to(module.device), self.tokenizer.labels)
        return (
            sum(one.diagonality for one in found),
            sum(one.entropy for one in found),
            float(len(found)),
        )

    def _decode(self, module: SpeechTraining) -> tuple[list[Decoded], Counts]:
        """Greedy search of the sample: that of transcription, with a beam of 1."""
        config = fitting(SearchConfig(beam=1), module.model)
        decoded: list[Decoded] = []
        for batch in self.sample:
            texts = [""] * len(batch.ids)
            rows = batch.samples.numpy(), batch.lengths.tolist()
            segments = [samples[:length] for samples, length in zip(*rows, strict=True)]
            for labels, places in rows_by_start(batch, self.tokenizer.labels):
                decode = SegmentDecoder(module.model, LanguageSetting(labels), config)
                hypotheses = decode([segments[place] for place in places])
                for place, (best, *_) in zip(places, hypotheses, strict=True):
                    texts[place] = self.tokenizer.decode(best.tokens)
            decoded += map(Decoded, batch.ids, batch.texts, texts)
        normalize = self.normalize
        counts = (count_words(normalize(d.reference), normalize(d.hypothesis)) for d in decoded)
        return decoded, total(counts)


def sample_lines(sample: tuple[Decoded, ...], show: int) -> str:
    """References and hypotheses under each other, for reading."""
    lines = []
    for one in sample[:show]:
        lines += [f"  {one.id}", f"    said:  {one.reference}", f"    heard: {one.hypothesis}"]
    return "\n".join(lines)
