"""Writes a Whisper checkpoint of any format as a Hugging Face folder, which transformers opens.

    python tools/whisper_to_hugging_face.py SOURCE FOLDER

SOURCE is what `-m` takes of Whisper: a CTranslate2 or Hugging Face folder, or a `.pt` file. Weights
keep their stored precision; the labels that are suppressed come with them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from asr.atomic import atomic_folder
from asr.errors import OutputError
from asr.model.folder import LoadedModel, load_model_folder
from asr.model.speech_model import SpeechModel
from asr.model.whisper.naming import HUGGING_FACE
from asr.text.whisper import WhisperTokenizer


def main() -> None:
    """Parses the command line and writes the folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path, help="a new folder")
    args = parser.parse_args()
    write_hugging_face(args.source, args.folder)


def write_hugging_face(source: Path, folder: Path) -> None:
    """Writes config, generation settings, tokenizer and weights of `source` into a new folder.

    Raises:
        OutputError: the folder exists, or cannot be written.
        ModelError: the source cannot be opened.
    """
    if folder.exists():
        raise OutputError(f"{folder}: exists already; name another folder")
    loaded = load_model_folder(source, "stored")
    assert isinstance(loaded.model, SpeechModel)
    assert isinstance(loaded.tokenizer, WhisperTokenizer)
    with atomic_folder(folder) as fresh:
        save_file(tensors(loaded.model), fresh / "model.safetensors", {"format": "pt"})
        for name, values in (
            ("config.json", config(loaded.model, loaded.tokenizer)),
            ("generation_config.json", generation_config(loaded)),
        ):
            (fresh / name).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        (fresh / "tokenizer.json").write_text(loaded.tokenizer.content, encoding="utf-8")


def tensors(model: SpeechModel) -> dict[str, Tensor]:
    """The weights by the names of transformers."""
    return {
        f"model.{name}": part.contiguous()
        for ours, tensor in model.state_dict().items()
        for name, part in renamed(ours, tensor)
    }


def renamed(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The tensors, with their names in transformers, that one of ours is made of."""
    scheme = HUGGING_FACE
    name = name.replace("decoder.embedding.weight", f"decoder.{scheme.embedding}")
    if name.endswith("positions"):
        name = name.replace("positions", scheme.positions)
    name = name.replace("coder.norm.", f"coder.{scheme.encoder_norm}.")
    for ours, theirs in (
        ("self_attention", scheme.self_attention),
        ("memory_attention", scheme.memory_attention),
        ("self_norm", scheme.self_norm),
        ("memory_norm", scheme.memory_norm),
        ("ff_norm", scheme.ff_norm),
        ("widen", scheme.widen),
        ("narrow", scheme.narrow),
        ("to_query", scheme.query),
        ("to_output", scheme.output),
    ):
        name = name.replace(f".{ours}.", f".{theirs}.")
    if "to_keys_values" not in name:
        yield name, tensor
        return
    keys, values = tensor.chunk(2)
    yield name.replace("to_keys_values", scheme.value), values
    if name.endswith("weight"):  # keys have no bias
        yield name.replace("to_keys_values", scheme.key), keys


def config(model: SpeechModel, tokenizer: WhisperTokenizer) -> dict[str, Any]:
    """Contents of `config.json`."""
    encoder, decoder, labels = model.config.encoder, model.config.decoder, tokenizer.labels
    return {
        "model_type": "whisper",
        "architectures": ["WhisperForConditionalGeneration"],
        "activation_function": "gelu",
        "vocab_size": model.vocabulary,
        "num_mel_bins": model.frontend.dim,
        "d_model": encoder.dim,
        "encoder_layers": encoder.layers,
        "encoder_attention_heads": encoder.heads,
        "encoder_ffn_dim": encoder.ff,
        "decoder_layers": decoder.layers,
        "decoder_attention_heads": decoder.heads,
        "decoder_ffn_dim": decoder.ff,
        "max_source_positions": encoder.positions,
        "max_target_positions": decoder.positions,
        "bos_token_id": labels.end,
        "eos_token_id": labels.end,
        "pad_token_id": labels.end,
        "decoder_start_token_id": labels.start[0],
    }


def generation_config(loaded: LoadedModel[Any]) -> dict[str, Any]:
    """Contents of `generation_config.json`: suppressed labels, heads, languages and tasks."""
    tokenizer, decoder = loaded.tokenizer, loaded.model.config.decoder
    labels = tokenizer.labels
    added = json.loads(tokenizer.content)["added_tokens"]
    special = {token["content"]: token["id"] for token in added}
    values: dict[str, Any] = {
        "bos_token_id": labels.end,
        "eos_token_id": labels.end,
        "pad_token_id": labels.end,
        "decoder_start_token_id": labels.start[0],
        "max_length": decoder.positions,
        "max_initial_timestamp_index": 50,
        "no_timestamps_token_id": labels.start[-1],
        "prev_sot_token_id": special.get("<|startofprev|>"),
        "suppress_tokens": list(tokenizer.suppress),
        "begin_suppress_tokens": list(tokenizer.suppress_first),
        "is_multilingual": tokenizer.prompt_fields is not None,
        "return_timestamps": False,
    }
    if decoder.alignment_heads is not None:
        values["alignment_heads"] = [list(pair) for pair in decoder.alignment_heads]
    if tokenizer.prompt_fields is not None:
        values["lang_to_id"] = {
            f"<|{code}|>": label for code, label in tokenizer.prompt_fields.languages.items()
        }
        values["task_to_id"] = {
            task: special[f"<|{task}|>"] for task in ("transcribe", "translate")
        }
    return values


if __name__ == "__main__":
    main()
