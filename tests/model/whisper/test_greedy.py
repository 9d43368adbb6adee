"""With real weights, greedy search writes label for label what transformers writes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.audio import load_audio
from asr.frontend.whisper import WhisperConfig, WhisperLogMel
from asr.model.folder import load_model_folder
from asr.model.speech_model import SpeechModel
from asr.search import SearchConfig, all_scorers, search
from tests.model.whisper.checkpoints import hugging_face_tensors

GREEDY = SearchConfig(beam=1, ctc_weight=0.0, lm_weight=0.0)


def transformers_model(model: SpeechModel, end: int) -> Any:
    """A model of transformers with the weights of ours."""
    transformers = pytest.importorskip("transformers")
    encoder, decoder = model.config.encoder, model.config.decoder
    theirs = transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig(
            vocab_size=model.vocabulary,
            num_mel_bins=model.frontend.dim,
            d_model=encoder.dim,
            encoder_layers=encoder.layers,
            decoder_layers=decoder.layers,
            encoder_attention_heads=encoder.heads,
            decoder_attention_heads=decoder.heads,
            encoder_ffn_dim=encoder.ff,
            decoder_ffn_dim=decoder.ff,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=end + 1,
        )
    )
    missing, unexpected = theirs.load_state_dict(
        hugging_face_tensors(model.state_dict()), strict=False
    )
    assert (missing, unexpected) == (["proj_out.weight"], [])
    return theirs.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny.en", "base"])
def test_greedy_labels_are_those_of_transformers(name: str, corpora: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = Path(os.environ.get("ASR_WHISPER", "/tmp/whisper")) / name
    if not (folder / "model.bin").is_file():
        pytest.skip(f"no weights at {folder}: shared/whisper/get.sh DIR fetches them")
    loaded = load_model_folder(folder)
    model, labels = loaded.model, loaded.tokenizer.labels
    assert isinstance(model, SpeechModel)
    # as transformers does it: samples padded with zeros to 30 s
    model.frontend = WhisperLogMel(WhisperConfig(mels=model.frontend.dim, pad_seconds=30))
    theirs = transformers_model(model, labels.end)
    processors = transformers.LogitsProcessorList(
        [
            transformers.SuppressTokensLogitsProcessor(list(labels.never)),
            transformers.SuppressTokensAtBeginLogitsProcessor(
                list(labels.never_first), len(labels.start)
            ),
        ]
    )
    extract = transformers.WhisperFeatureExtractor(feature_size=model.frontend.dim)
    manifest = corpora / "dev" / "librispeech" / "manifest.jsonl"
    lines = manifest.read_text(encoding="utf-8").splitlines()[::50][:10]
    for path in (manifest.parent / json.loads(line)["audio_filepath"] for line in lines):
        samples = load_audio(path, 16000).samples
        inputs = extract(samples, sampling_rate=16000, return_tensors="pt").input_features
        with torch.inference_mode():
            features, frames = model.features(
                torch.from_numpy(samples)[None], torch.tensor([len(samples)])
            )
            # theirs in float64, ours in float32 as everywhere here
            torch.testing.assert_close(features, inputs.transpose(1, 2), rtol=0, atol=2e-4)
            memory, lengths = model.encode(features, frames)
            [[best]] = search(all_scorers(model, labels, GREEDY), memory, lengths, labels, GREEDY)
            start = torch.tensor([labels.start])
            written = transformers.GenerationMixin.generate(
                theirs,
                input_features=inputs,
                decoder_input_ids=start,
                max_new_tokens=200,
                do_sample=False,
                logits_processor=processors,
            )[0].tolist()
        expected = [label for label in written if label not in {*labels.start, labels.end}]
        assert list(best.tokens) == expected, path.name
