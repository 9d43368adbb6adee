"""Whisper (Radford et al. 2022): its modules, and readers of the files that its weights come in."""
