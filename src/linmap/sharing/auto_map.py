"""How transformers finds linmap's classes in a repository, for somebody who did not import linmap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers.utils import CONFIG_NAME, PROCESSOR_NAME

from linmap.errors import ModelNotFoundError, first_line

__all__ = ["MODULE", "with_auto_map"]

MODULE = "linmap_model"
"""Name of the module in the repository to which `auto_map` points."""

CODE = '''"""The classes of this model are in the package linmap: pip install linmap. Nothing is defined here."""

import linmap


def __getattr__(name):
    return getattr(linmap, name)
'''


def with_auto_map(directory: Path) -> dict[str, bytes]:
    """The files of a folder that are another in the repository, and the one that is there alone.

    `config.json` and `processor_config.json` get an `auto_map`. With `trust_remote_code=True` transformers then fetches
    the module, which imports linmap, or says that linmap is to be installed. Whoever has imported linmap needs none of
    it, and fetches none.

    Args:
        directory: What `save_pretrained` wrote.

    Returns:
        Contents by path; nothing for a folder without these files, or with those of classes that are not linmap's.

    Raises:
        ModelNotFoundError: One of the files is damaged.
    """
    changed: dict[str, bytes] = {}
    for name, classes_of in ((CONFIG_NAME, _model_classes), (PROCESSOR_NAME, _processor_classes)):
        if (directory / name).is_file():
            facts = _read(directory / name)
            if found := classes_of(facts):
                facts["auto_map"] = {auto: f"{MODULE}.{ours}" for auto, ours in found.items()}
                changed[name] = (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode()
    if changed:
        changed[f"{MODULE}.py"] = CODE.encode()
    return changed


def _model_classes(config: dict[str, Any]) -> dict[str, str]:
    """The Auto classes that give this configuration and this model, as linmap registered them."""
    from transformers.models.auto import CONFIG_MAPPING, modeling_auto

    kind = str(config.get("model_type"))
    if kind not in CONFIG_MAPPING or not _is_ours(CONFIG_MAPPING[kind].__name__):  # its `get` knows none of ours
        return {}
    config_class = CONFIG_MAPPING[kind]
    found = {"AutoConfig": config_class.__name__}
    for name, auto in sorted(vars(modeling_auto).items()):
        mapping = getattr(auto, "_model_mapping", None) if name.startswith("AutoModel") else None
        if mapping is not None and config_class in mapping:
            model_class = mapping[config_class].__name__
            if model_class in (config.get("architectures") or []):
                found[name] = model_class
    return found


def _processor_classes(processor: dict[str, Any]) -> dict[str, str]:
    name = str(processor.get("processor_class"))
    return {"AutoProcessor": name} if _is_ours(name) else {}


def _is_ours(name: str) -> bool:
    import linmap  # the classes that the module in the repository will find

    return name in linmap.__all__


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, RecursionError, TypeError, ValueError) as error:
        raise ModelNotFoundError(f"{file} is damaged: {first_line(error)}. Save it again.") from error
