"""Whisper's encoder and decoder: limits, contexts, and numbers of transformers that are stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from asr.errors import ModelError
from asr.model import ChunkContext
from asr.model.whisper.checkpoint import WhisperCheckpoint
from asr.model.whisper.config import WhisperDecoderConfig, WhisperEncoderConfig
from asr.model.whisper.decoder import WhisperDecoder
from asr.model.whisper.encoder import WhisperEncoder, sinusoids
from asr.model.whisper.files import read_hugging_face
from tests.model.whisper.checkpoints import FRAMES, MELS, write_hugging_face


def modules(checkpoint: WhisperCheckpoint) -> tuple[WhisperEncoder, WhisperDecoder]:
    encoder = WhisperEncoder(checkpoint.encoder, checkpoint.mels, 0.01)
    decoder = WhisperDecoder(checkpoint.decoder, checkpoint.vocabulary, checkpoint.encoder.dim)
    for half, module in (("encoder.", encoder), ("decoder.", decoder)):
        weights = {
            name.removeprefix(half): tensor
            for name, tensor in checkpoint.weights.items()
            if name.startswith(half)
        }
        module.load_state_dict(weights)
    return encoder.eval(), decoder.eval()


def example_input(frames: int = 2 * FRAMES, mels: int = MELS) -> Tensor:
    """Features (2, T, F) that are the same everywhere."""
    count = 2 * frames * mels
    values = torch.sin(torch.arange(count, dtype=torch.float64) * 0.37).float()
    return values.view(2, frames, mels)


def outputs(checkpoint: WhisperCheckpoint, features: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
    """Memory (2, M, D) and logits (2, U, V)."""
    encoder, decoder = modules(checkpoint)
    lengths = torch.full((len(features),), features.shape[1])
    with torch.inference_mode():
        memory, lengths = encoder(features, lengths)
        return memory, decoder(tokens, memory, lengths)


TOKENS = torch.tensor([[1, 2, 3, 4, 12], [0, 12, 7, 7, 5]])
#: What transformers 5.24.0 (torch 2.11.0) gives for `example_weights` and `example_input`: some
#: numbers of the memory and of the logits. Made with
#: `python -m tests.model.whisper.test_modules`.
STORED: dict[str, list[float]] = {
    "memory": [
        -1.33042, -0.71181, -1.30665, -1.42784, -1.00516, 1.05797, -0.05946, 1.42923, 0.46435,
        -0.64104,
    ],
    "logits": [2.47338, -1.69282, 0.67542, 0.9009, -0.45743, -0.66976, 2.7567, 2.61035],
}  # fmt: skip


def some(values: Tensor) -> Tensor:
    return values.flatten()[::17]


def test_numbers_of_transformers_that_are_stored_here(tmp_path: Path) -> None:
    checkpoint = read_hugging_face(write_hugging_face(tmp_path))
    memory, logits = outputs(checkpoint, example_input(), TOKENS)
    for values, expected in ((memory, STORED["memory"]), (logits, STORED["logits"])):
        torch.testing.assert_close(some(values), torch.tensor(expected), rtol=0, atol=1e-4)


def transformers_model(**sizes: Any) -> Any:
    """A seeded random model of transformers, in which biases and norms matter too."""
    transformers = pytest.importorskip("transformers")
    config = transformers.WhisperConfig(
        pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=1, **sizes
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = transformers.WhisperForConditionalGeneration(config).eval()
        with torch.no_grad():
            for name, weights in model.named_parameters():
                if name.endswith("bias"):
                    weights.normal_(std=0.1)
                elif "norm" in name:
                    weights.normal_(mean=1.0, std=0.1)
    return model


def encoder(circular: bool = False) -> WhisperEncoder:
    torch.manual_seed(0)
    config = WhisperEncoderConfig(
        layers=1, dim=8, heads=2, ff=12, positions=FRAMES, circular_positions=circular
    )
    return WhisperEncoder(config, MELS, 0.01).eval()


def test_what_the_encoder_states() -> None:
    module = encoder()
    assert (module.max_frames, module.dim, module.frame_seconds) == (FRAMES, 8, 0.02)
    with torch.inference_mode():
        memory, lengths = module(example_input(11), torch.tensor([11, 11]))
        empty, none = module(example_input(0), torch.tensor([0, 0]))
    assert memory.shape == (2, 6, 8)
    assert lengths.tolist() == [6, 6]
    assert empty.shape == (2, 0, 8)
    assert none.tolist() == [0, 0]


def test_what_the_encoder_refuses() -> None:
    features = example_input(2 * FRAMES + 1)
    lengths = torch.tensor([2 * FRAMES + 1] * 2)
    with pytest.raises(ModelError, match=r"at most 10 frames \(0.2 s\), got 11"):
        encoder()(features, lengths)
    chunks = ChunkContext(4, 4)
    with pytest.raises(ModelError, match="needs the whole utterance"):
        encoder()(features[:, :8], lengths, chunks)
    with pytest.raises(ModelError, match="needs the whole utterance"):
        encoder().initial_state(1, chunks)


def test_positions_of_a_stream_go_round() -> None:
    """Without left context a chunk depends on its own features and positions alone."""
    module, features = encoder(circular=True), example_input(3 * 2 * FRAMES)
    state = module.initial_state(2, ChunkContext(FRAMES, 0))
    with torch.inference_mode():
        memory, _ = module.step(features, state, final=True)
        assert memory.shape[1] == 3 * FRAMES
        # the second window alone: its first frames see other features before them
        window, _ = module(features[:, 2 * FRAMES : 4 * FRAMES], torch.tensor([2 * FRAMES] * 2))
    second = memory[:, FRAMES : 2 * FRAMES]
    assert not torch.allclose(second, window, atol=1e-3)
    with torch.inference_mode():
        start = module.initial_state(2, ChunkContext(FRAMES, 0))
        known = replace(
            start, frames=start.frames + 2 * FRAMES, before=features[:, 2 * FRAMES - 2 :][:, :2]
        )
        again, _ = module.step(features[:, 2 * FRAMES :], known, final=True)
    torch.testing.assert_close(again, memory[:, FRAMES:], rtol=0, atol=1e-6)


def test_training_begins_at_random_positions_where_they_are_circular() -> None:
    features, lengths = example_input(8), torch.tensor([8, 8])
    for circular in (False, True):
        module = encoder(circular).train()
        results = [module(features, lengths)[0] for _ in range(12)]
        same = [torch.equal(memory, results[0]) for memory in results]
        assert all(same) is not circular


def test_utterances_of_a_batch_are_encoded_as_if_alone() -> None:
    features, lengths = example_input(), torch.tensor([2 * FRAMES] * 2)
    with torch.inference_mode():
        together, _ = encoder()(features, lengths)
        for row in range(2):
            alone, _ = encoder()(features[row : row + 1], lengths[row : row + 1])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-6)


def test_positions() -> None:
    """Sines, then cosines, of wavelengths from 2 pi to 20000 pi frames."""
    table = sinusoids(5, 6)
    assert table.shape == (5, 6)
    torch.testing.assert_close(table[:, 0], torch.arange(5.0).sin())
    torch.testing.assert_close(table[:, 3], torch.arange(5.0).cos())
    torch.testing.assert_close(table[:, 2], (torch.arange(5.0) / 10000).sin())


def test_the_decoder_has_a_last_position() -> None:
    torch.manual_seed(0)
    config = WhisperDecoderConfig(layers=1, dim=8, heads=2, ff=12, positions=4)
    module = WhisperDecoder(config, 9, 8).eval()
    assert module.max_labels == 4
    memory, lengths = torch.randn(2, 5, 8), torch.tensor([5, 3])
    with torch.inference_mode():
        assert module(torch.ones(2, 4, dtype=torch.long), memory, lengths).shape == (2, 4, 9)
        with pytest.raises(ModelError, match="at most 4 labels, the start counted, got 5"):
            module(torch.ones(2, 5, dtype=torch.long), memory, lengths)
        tokens = torch.ones(2, 3, dtype=torch.long)
        _, state = module.prime(tokens, torch.tensor([2, 1]), memory, lengths)
        for _ in range(2):
            _, state = module.step(torch.ones(2, dtype=torch.long), state)
        with pytest.raises(ModelError, match="got 5"):
            module.step(torch.ones(2, dtype=torch.long), state)


def test_the_memory_is_kept_once_for_all_hypotheses_of_an_utterance() -> None:
    config = WhisperDecoderConfig(layers=1, dim=8, heads=2, ff=12, positions=4)
    module = WhisperDecoder(config, 9, 8).eval()
    with torch.inference_mode():
        state = module.initial_state(torch.randn(2, 5, 8), torch.tensor([5, 5]))
        before = state.memory
        state = module.reorder(state, torch.arange(2).repeat_interleave(3))
        assert state.memory is before
        state = module.reorder(state, torch.tensor([3, 5, 5]))
    assert len(state.memory[0][0]) == 1


def print_stored() -> None:
    """Prints `STORED`, computed by transformers."""
    import tempfile

    from tests.model.whisper import checkpoints as small

    model = transformers_model(
        num_mel_bins=MELS,
        d_model=small.DIM,
        encoder_attention_heads=small.HEADS,
        decoder_attention_heads=small.HEADS,
        encoder_layers=small.LAYERS["encoder"],
        decoder_layers=small.LAYERS["decoder"],
        encoder_ffn_dim=small.FF,
        decoder_ffn_dim=small.FF,
        vocab_size=small.VOCABULARY,
        max_source_positions=FRAMES,
        max_target_positions=small.LABELS,
    )
    tensors = small.hugging_face_tensors(small.example_weights())
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert (missing, unexpected) == (["proj_out.weight"], [])
    with torch.inference_mode():
        features = example_input().transpose(1, 2)
        result = model(input_features=features, decoder_input_ids=TOKENS)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = read_hugging_face(write_hugging_face(Path(folder)))
            ours = outputs(checkpoint, example_input(), TOKENS)
    for name, values, own in (
        ("memory", result.encoder_last_hidden_state, ours[0]),
        ("logits", result.logits, ours[1]),
    ):
        print(name, [round(value, 5) for value in some(values).tolist()])
        print("  ours differ by", (values - own).abs().max().item())


if __name__ == "__main__":
    print_stored()
