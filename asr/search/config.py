"""What a user may say about the search."""

from __future__ import annotations

from pydantic import Field, model_validator

from asr.config import Config


class SearchConfig(Config):
    """Options of the beam search. Greedy search is `beam=1`."""

    beam: int = Field(10, ge=1, le=1000, description="open hypotheses kept for each utterance")
    nbest: int = Field(
        1, ge=1, le=1000, description="finished hypotheses returned; at most the beam"
    )
    ctc_weight: float = Field(
        0.3, ge=0.0, le=1.0, description="weight of CTC; attention has the rest"
    )
    lm_weight: float = Field(
        0.3, ge=0.0, description="weight of the language model, where there is one"
    )
    ilm_weight: float = Field(
        0.0,
        ge=0.0,
        description="how much of the decoder's own language model is taken out where another is in",
    )
    hotword_weight: float = Field(
        0.5, ge=0.0, description="added for each letter of a hotword, where hotwords are given"
    )
    length_reward: float = Field(0.0, ge=0.0, description="added for each label")
    pre_beam: float = Field(
        1.5, ge=1.0, description="candidates that CTC rescores for each hypothesis, in beams"
    )
    heard_only: bool = Field(
        True,
        description="labels that CTC does not support are never written; in a model without CTC "
        "neither loops nor more text than the speech can hold",
    )
    max_labels: int | None = Field(
        None, ge=1, description="most labels of a hypothesis; None: one for each memory frame"
    )

    give_up: float = Field(
        10.0,
        gt=0.0,
        description="hypotheses that are so much worse than the last of the n best endings are "
        "dropped where scores can grow (length_reward, ilm_weight) and nothing is proved",
    )

    @model_validator(mode="after")
    def _nbest_fits(self) -> SearchConfig:
        if self.nbest > self.beam:
            raise ValueError(f"nbest ({self.nbest}) is more than beam ({self.beam}): raise beam")
        return self
