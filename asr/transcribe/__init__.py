"""Recordings to transcripts: cut into stretches, decoded in batches, put together again."""
