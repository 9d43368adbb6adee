"""The commits of published models that are fetched. Written by tools/pin_models.py."""

from __future__ import annotations

#: By repository; one that is missing is fetched as its branch `main` stands.
REVISIONS: dict[str, str] = {
    "openai/whisper-tiny.en": "87c7102498dcde7456f24cfd30239ca606ed9063",
    "openai/whisper-tiny": "169d4a4341b33bc18d8881c4b69c2e104e1cc0af",
    "openai/whisper-base.en": "911407f4214e0e1d82085af863093ec0b66f9cd6",
    "openai/whisper-base": "e37978b90ca9030d5170a5c07aadb050351a65bb",
    "openai/whisper-small.en": "e8727524f962ee844a7319d92be39ac1bd25655a",
    "openai/whisper-small": "973afd24965f72e36ca33b3055d56a652f456b4d",
    "openai/whisper-medium.en": "2e98eb6279edf5095af0c8dedb36bdec0acd172b",
    "openai/whisper-medium": "abdf7c39ab9d0397620ccaea8974cc764cd0953e",
    "openai/whisper-large-v3-turbo": "41f01f3fe87f28c78e2fbf8b568835947dd65ed9",
    "openai/whisper-large-v2": "ae4642769ce2ad8fc292556ccea8e901f1530655",
    "openai/whisper-large-v3": "06f233fe06e710322aca913c1bc4249a0d71fce1",
    "distil-whisper/distil-medium.en": "6e61418885eaf4d5cc9f64e508e80ac5b4c052b7",
    "distil-whisper/distil-large-v2": "97d2c8f9cae1b0f6c8fc2e173495ee4cedc05843",
    "distil-whisper/distil-large-v3": "8031d2e6ce6631b7fc45629dddfc00271116d981",
    "distil-whisper/distil-large-v3.5": "728a7691f3ff1d3d971528d3203a6e9559165d41",
}
