"""How long a file says that it is: for progress, never for decoding."""

from __future__ import annotations

import os

from asr.audio.limits import AudioLimits


def told_seconds(path: str | os.PathLike[str], limits: AudioLimits | None = None) -> float | None:
    """The length that the header of a file tells, in seconds; nothing is decoded.

    Returns:
        None where it tells none, or one past the `limits` (headers lie), or where it is no regular
        file or cannot be read: whoever opens it to decode it says why.
    """
    if not os.path.isfile(path):  # a named pipe gives its sound only once
        return None
    import av

    from asr.audio.av_decoder import CONTAINERS, LIBRARY_ERRORS

    try:
        with (
            open(path, "rb") as file,
            av.open(
                file, "r", metadata_errors="ignore", options={"format_whitelist": CONTAINERS}
            ) as container,
        ):
            seconds = (container.duration or 0) / av.time_base
    except LIBRARY_ERRORS:
        return None
    return seconds if 0 < seconds <= (limits or AudioLimits()).max_seconds else None
