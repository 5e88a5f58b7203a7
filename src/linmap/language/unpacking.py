"""Unpacks a GGUF file once into safetensors, because reading it anew takes transformers 15 seconds every time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer

__all__ = ["unpacked"]


def unpacked(gguf_file: Path) -> Path:
    """The directory beside a GGUF file that holds its model, dequantised to float32, and its tokenizer.

    Written by the first call (safetensors and JSON; four bytes a weight), in one step even with several processes at
    it. The values are those that transformers gives for the GGUF file itself.

    Args:
        gguf_file: A file in the cache, already checked.
    """
    directory = gguf_file.with_suffix(".unpacked")
    if directory.is_dir():
        return directory
    with FileLock(gguf_file.with_suffix(".lock")):
        if not directory.is_dir():
            with tempfile.TemporaryDirectory(dir=gguf_file.parent, prefix=".unpacking-") as scratch:
                target = Path(scratch) / "model"
                _write(gguf_file, target)
                target.rename(directory)
    return directory


def _write(gguf_file: Path, target: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32)
    # it holds plain float32 weights now, yet would refuse to be saved as long as it remembers the GGUF file
    del model.config.quantization_config
    model.hf_quantizer = None  # type: ignore[assignment]
    model.config._name_or_path = ""
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name).save_pretrained(target)
