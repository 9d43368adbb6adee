"""Words of a transcript: where each begins and ends, and how sure it is."""
