"""Models of open_clip: their configurations, and their weight files found, fetched and named."""

from __future__ import annotations

import difflib
import posixpath
from pathlib import Path
from typing import Any

import open_clip
from open_clip.pretrained import download_pretrained_from_url

from linmap.encoders.names import EncoderName
from linmap.errors import EncoderError
from linmap.weights.hub import commit_of, hub_file, hub_license, safetensors_first
from linmap.weights.identity import Fingerprint, sha256_of

__all__ = ["load_open_clip_model", "model_arguments", "model_config", "pretrained_entry"]


def model_config(architecture: str) -> dict[str, Any]:
    """open_clip's own configuration of an architecture."""
    config = open_clip.get_model_config(architecture)
    if config is None:
        close = difflib.get_close_matches(architecture, open_clip.list_models(), n=3)
        hint = f" Did you mean {', '.join(f'open_clip:{match}' for match in close)}?" if close else ""
        raise EncoderError(
            f"open_clip {open_clip.__version__} has no model {architecture!r}.{hint} "
            "List them with open_clip.list_models()."
        )
    return dict(config)


def pretrained_entry(architecture: str, tag: str, pretrained: bool) -> dict[str, Any]:
    """open_clip's own record of the weights: where they are and how images are preprocessed for them."""
    entry = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    if not entry and (tag or pretrained):
        known = ", ".join(sorted(open_clip.list_pretrained_tags_by_model(architecture))) or "none"
        asked = f"no weights {tag!r} for" if tag else "to be told which weights to take for"
        verb = "has" if tag else "needs"
        raise EncoderError(
            f"open_clip {open_clip.__version__} {verb} {asked} {architecture!r}. Write open_clip:{architecture}/TAG; "
            f"known tags: {known}."
        )
    return dict(entry)


def model_arguments(config: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """What completes an architecture: OpenAI's weights and some others have another GELU than the plain ones."""
    return {"quick_gelu": bool(config.get("quick_gelu") or entry.get("quick_gelu"))}


def fingerprint_of(name: EncoderName, path: Path, license_: str | None) -> Fingerprint:
    """The fingerprint of a weight file that `fetched_weights` gave."""
    return Fingerprint(
        name=str(name),
        library="open_clip",
        id=name.id,
        revision=commit_of(path),
        file=path.name,
        sha256=sha256_of(path),
        license=license_,
    )


def fetched_weights(entry: dict[str, Any], revision: str | None) -> tuple[Path, str | None]:
    """The weight file, and its licence where the hub's card states one."""
    if not entry.get("hf_hub"):
        return Path(download_pretrained_from_url(entry["url"])), None
    repo_id, file = posixpath.split(entry["hf_hub"])
    path = hub_file(repo_id, safetensors_first(file or "open_clip_pytorch_model.bin"), revision)
    return path, hub_license(repo_id, commit_of(path))


def load_open_clip_model(
    name: EncoderName, revision: str | None = None, image_size: int | None = None
) -> tuple[Any, dict[str, Any], Fingerprint]:
    """The whole model with its pretrained weights, what completes its architecture, and where the weights came from."""
    architecture, _, tag = name.id.partition("/")
    config = model_config(architecture)
    entry = pretrained_entry(architecture, tag, True)
    model_args = model_arguments(config, entry)
    path, license_ = fetched_weights(entry, revision)
    model = open_clip.create_model(
        architecture,
        pretrained=str(path),
        require_pretrained=True,
        force_quick_gelu=model_args["quick_gelu"],
        force_image_size=image_size,
    )
    return model, model_args, fingerprint_of(name, path, license_)
