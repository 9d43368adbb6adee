"""Recordings to transcripts: cut into segments, decoded in batches, put together again."""
