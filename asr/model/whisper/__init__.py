"""Whisper (Radford et al. 2022): its modules, and readers of the files that its weights come in."""

from asr.model.whisper import decoder, encoder  # noqa: F401 (importing registers them)
