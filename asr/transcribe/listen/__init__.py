"""Listening to live sources: microphone, pipe, blocks; in a thread or in asyncio."""
