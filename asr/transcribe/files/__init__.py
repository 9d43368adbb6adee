"""Recordings: cut at pauses or by chunks, decoded together, in their order."""
