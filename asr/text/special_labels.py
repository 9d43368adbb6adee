"""The special labels of the tokenizers that are trained here.

Only the tokenizers' own files use these numbers; everybody else asks a tokenizer for its `labels`.
"""

from __future__ import annotations

from asr.text.tokenizer import Labels

BLANK, UNKNOWN, END = 0, 1, 2
SPECIAL_PIECES = ("<blank>", "<unk>", "<eos>")

#: The end of a text also starts one.
LABELS = Labels(blank=BLANK, unknown=UNKNOWN, end=END, start=(END,))
