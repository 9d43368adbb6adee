"""Languages and tasks that the start sequence of a decoder selects."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from asr.errors import ModelError, shortened

TRANSCRIBE = "transcribe"
TRANSLATE = "translate"


@dataclass(frozen=True)
class Languages:
    """The languages and tasks of a model, and the start sequence for each pair of them.

    Attributes:
        labels: the label of each language, by its code (`fr`).
        tasks: the label of each task, by its name.
        before: what a decoder is fed before the label of the language; it predicts that label.
        after: what it is fed behind the label of the task.
    """

    labels: Mapping[str, int]
    tasks: Mapping[str, int]
    before: tuple[int, ...]
    after: tuple[int, ...] = ()

    def start(self, language: str, task: str = TRANSCRIBE) -> tuple[int, ...]:
        """The start sequence (`Labels.start`) for a language and a task.

        Raises:
            ModelError: there is no label for one of them; the nearest languages are named.
        """
        if language not in self.labels:
            raise ModelError(f"no language '{shortened(language, 20)}'; {self._hint(language)}")
        if task not in self.tasks:
            raise ModelError(f"no task '{task}'; there are: {', '.join(self.tasks)}")
        return (*self.before, self.labels[language], self.tasks[task], *self.after)

    def _hint(self, language: str) -> str:
        """The codes that may have been meant, or all of them where none is near."""
        code = re.split("[-_]", language.strip().lower())[0]
        if code in self.labels:
            near = [code]
        elif len(code) <= 3:
            near = difflib.get_close_matches(code, self.labels, n=4, cutoff=0.4)
        else:  # the name of a language, which says little of its code
            near = []
        if near:
            return f"the nearest codes are {', '.join(near)}"
        return f"the codes are {', '.join(self.labels)}"
