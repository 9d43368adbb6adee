"""Prompts: text that a decoder is fed before what it is to write, for names and style."""

from __future__ import annotations

from asr.errors import ModelError
from asr.model.folder import LoadedModel


def prompt_labels(text: str | None, loaded: LoadedModel) -> tuple[int, ...]:
    """What the decoder is fed before the start (`AttentionScorer`); nothing where there is no text.

    Prompts have at most half of the decoder's positions, as in training (Radford et al. 2022).

    Raises:
        ModelError: the model was not trained with prompts, or the prompt is too long.
    """
    if text is None:
        return ()
    name, decoder, label = loaded.config.name, loaded.model.decoder, loaded.tokenizer.labels.prompt
    if label is None or decoder is None:
        raise ModelError(
            f"model '{name}' was not trained with prompts: leave the prompt out, give names as "
            "hotwords (--hotwords), or use a Whisper model"
        )
    written = loaded.tokenizer.encode(text)
    if decoder.max_labels is not None and len(written) >= decoder.max_labels // 2:
        raise ModelError(
            f"the prompt has {len(written)} labels, and model '{name}' takes at most "
            f"{decoder.max_labels // 2 - 1}: shorten it"
        )
    return (label, *written)
