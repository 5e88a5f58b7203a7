"""Which files of a folder belong on the Hub, and which of a repository an earlier push left there."""

from __future__ import annotations

import filecmp
import re
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from transformers.utils import PROCESSOR_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

__all__ = ["bring_record", "contents", "left_out", "leftovers"]

_WEIGHTS = r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json"
_ADAPTER = r"adapter_config\.json|adapter_model(-\d{5}-of-\d{5})?\.safetensors|adapter_model\.safetensors\.index\.json"
_PART = rf"config\.json|generation_config\.json|{_WEIGHTS}"
_MODEL = re.compile(
    rf"{_PART}|{_ADAPTER}|(encoder|language_model|decoder|dual_encoder)/({_PART}|README\.md)"
    r"|memory/(memory\.json|(latents|captions)-\d+\.safetensors)"
)
_PROCESSOR = re.compile(
    r"processor_config\.json|preprocessor_config\.json|chat_template\.jinja|additional_chat_templates/[\w.-]+\.jinja"
    r"|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.json|vocab\.txt"
    r"|merges\.txt|bpe\.codes|[\w.-]+\.model|(emoji|entity_vocab|word_shape|word_pronunciation)\.json"
)
_RUN = re.compile(r"recipe\.yaml|training_log\.json|(loss|recall|cider_d)\.png")
_BESIDE = re.compile(r"README\.md|(LICENSE|NOTICE)[\w.-]*")


def contents(directory: Path) -> list[str]:
    """The files of a folder that are uploaded: the model, its processor, its card and licence, how it was trained.

    Args:
        directory: What `save_pretrained` or `linmap train` wrote.

    Returns:
        Their paths in it, in order. All else stays here: checkpoints of the run, cached features, photos of samples.
    """
    kinds = (_MODEL, _PROCESSOR, _RUN, _BESIDE)
    return [path for path in _files(directory) if any(kind.fullmatch(path) for kind in kinds)]


def left_out(directory: Path) -> list[str]:
    """What else lies in a folder: names of files and folders of which nothing is uploaded."""
    uploaded = {path.partition("/")[0] for path in contents(directory)}
    return sorted(path.name for path in directory.iterdir() if path.name not in uploaded)


def leftovers(there: Iterable[str], new: Collection[str]) -> list[str]:
    """The files of an earlier push that do not belong to what is pushed now.

    Args:
        there: The files of the repository.
        new: Those that are pushed. Weights among them replace a whole model, a processor a whole processor.

    Returns:
        Those that have the names of files linmap writes; what people put there is none.
    """
    gone: list[re.Pattern[str]] = []
    if not {SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME}.isdisjoint(new):
        gone += [_MODEL, _RUN]
    if PROCESSOR_NAME in new:
        gone.append(_PROCESSOR)
    return sorted(path for path in there if path not in new and any(kind.fullmatch(path) for kind in gone))


def bring_record(source: Path, directory: Path) -> None:
    """Copies the card of a model, its licence and the record of its training to where the same model was saved anew.

    Args:
        source: The folder it was loaded from.
        directory: Where it was saved since. Nothing is copied where other weights lie, or more of them, or fewer: what
            was said of the model, and measured, may then not hold any more.
    """
    weights, anew = (
        [path for path in contents(folder) if path.endswith(".safetensors")] for folder in (source, directory)
    )
    if weights and weights == anew and all(_same(source / path, directory / path) for path in weights):
        for path in contents(source):
            if _RUN.fullmatch(path) or _BESIDE.fullmatch(path):
                shutil.copyfile(source / path, directory / path)


def _same(one: Path, other: Path) -> bool:
    return filecmp.cmp(one, other, shallow=False)


def _files(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
