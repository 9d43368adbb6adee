"""What somebody asks of an adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.data.columns import Columns
from asr.train.adapt.base import has_begun


@dataclass(frozen=True)
class Request:
    """What somebody asks for.

    Args:
        model: the model folder to start from.
        data: the corpus to adapt to, of any kind that `read_manifest` knows.
        folder: where everything goes.
        dev: what to measure on; None holds a part of `data` out.
        keep: a corpus of the old domain to rehearse beside the new one.
        old: a corpus of the old domain to measure on, before and after.
        columns: of `data` and `dev`, where they are tables whose columns are called otherwise.
        language: code of what is spoken in `data` and `dev` where their manifests do not say it,
            for models of several languages.
        tokenizer: `keep` the model's labels, whatever they cannot write; `new` ones; the folder of
            some; None keeps the model's and refuses texts that they cannot write.
        overrides: keys of the recipe, `a.b=value`; relative paths in them are taken from the
            working directory.
        resume: as for `asr.train.run.Start`.
    """

    model: Path
    data: Path
    folder: Path
    dev: Path | None = None
    keep: Path | None = None
    old: Path | None = None
    columns: Columns = field(default_factory=dict)
    language: str | None = None
    tokenizer: str | None = None
    overrides: Sequence[str] = ()
    resume: str = "auto"

    @property
    def begun(self) -> bool:
        """Whether training goes on with what an earlier call has prepared."""
        return has_begun(self.folder, self.resume)
