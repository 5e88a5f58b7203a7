"""Reads a training recipe from YAML: unknown words are errors, and `a.b=c` changes one value."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import yaml

from linmap.errors import RecipeError, UnknownNameError
from linmap.recipes.clippo.schema import ClippoRecipe
from linmap.recipes.decap.schema import DeCapRecipe
from linmap.recipes.dual.schema import DualRecipe
from linmap.recipes.schema import Recipe

__all__ = ["METHODS", "AnyRecipe", "load_recipe", "packaged_recipes", "recipe_from_dict", "recipe_to_yaml"]

AnyRecipe: TypeAlias = Recipe | DualRecipe | DeCapRecipe | ClippoRecipe
Section = TypeVar("Section")

METHOD = "method"
SHORT_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"lm": ("model.language_model",), "encoder": ("model.encoder", "model.image_size", "model.preprocessing")}
)
"""What overrides may say in place of a dotted key; those behind the first belong to what is swapped, and go with it."""
DATA = ("data.captions", "data.texts", "data.text_pairs")
"""Keys that name what is learned from."""
SAID_OF_DATA = ("data_terms", "license")
FIRST_METHOD = "linear_vision_prefix"
METHODS: Mapping[str, type[AnyRecipe]] = MappingProxyType(
    {FIRST_METHOD: Recipe, "dual_encoder": DualRecipe, "decap": DeCapRecipe, "clippo": ClippoRecipe}
)
"""What the top-level key `method` of a recipe may say; a recipe without it is of the first."""


def packaged_recipes() -> dict[str, Path]:
    """The recipes that come with linmap: name -> YAML file.

    Example:
        >>> [name for name in packaged_recipes() if name.startswith("decap")]
        ['decap', 'decap-flickr8k', 'decap-language-model', 'decap-other-text']
    """
    folder = Path(str(resources.files("linmap.recipes")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> AnyRecipe:
    """Reads a recipe and changes single values of it.

    Args:
        name: A YAML file, or the bare name of a recipe that comes with linmap.
        overrides: `section.key=value`, the value written as in YAML, e.g. `training.steps=100`; `lm=` is short for
            `model.language_model=`, and `encoder=` for `model.encoder=` with the encoder's own size and preprocessing.
            Where they name other parts or other data, the recipe's description names these in place of its own, and of
            other data its licence and terms are not repeated; `description=`, `license=` and `data_terms=` say them.

    Returns:
        A `Recipe`, a `DualRecipe` where the file says `method: dual_encoder`, a `DeCapRecipe` for `method: decap`,
        a `ClippoRecipe` for `method: clippo`.

    Raises:
        UnknownNameError: for a recipe, a method, a section or a key that does not exist, with the closest that does.
        RecipeError: for a file that cannot be read, a missing key or a value of the wrong type or range.

    Example:
        >>> load_recipe("efficientnet-lite0-smollm2-135m", ["training.steps=3"]).training.steps
        3
    """
    path = Path(name)
    if not path.is_file():
        known = packaged_recipes()
        if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
            raise RecipeError(
                f"No recipe file at {path}. Give a YAML file or one of the recipes that come with linmap: "
                f"{', '.join(known)}."
            )
        if str(name) not in known:
            raise UnknownNameError("recipe", str(name), known)
        path = known[str(name)]
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} holds no mapping of sections (description, model, data, training, …).")
    for override in overrides:
        _apply(content, override)
    _say_no_more_than_is_so(content, path.stem, overrides)
    return recipe_from_dict(content)


def recipe_from_dict(content: Mapping[str, Any]) -> AnyRecipe:
    """Checks the words and types of `content` and makes a recipe of its method of it."""
    method = content.get(METHOD, FIRST_METHOD)
    if not isinstance(method, str) or method not in METHODS:
        raise UnknownNameError("method of a recipe", str(method), METHODS)
    return _build(METHODS[method], {key: value for key, value in content.items() if key != METHOD}, "")


def recipe_to_yaml(recipe: AnyRecipe) -> str:
    """The recipe as YAML with every value written out; `load_recipe` reads it back to an equal recipe."""
    (method,) = [name for name, kind in METHODS.items() if type(recipe) is kind]
    plain = dataclasses.asdict(recipe)
    said = plain if method == FIRST_METHOD else {METHOD: method, **plain}
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=110)


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"Cannot read the override {override!r}. Write it as section.key=value.")
    key, *beside = SHORT_KEYS.get(key.strip(), (key.strip(),))
    *sections, last = key.split(".")
    at = content
    for section in sections:
        inner = at.setdefault(section, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"Cannot set {key!r}: {section!r} is one value, not a section with keys.")
        at = inner
    try:
        at[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"Cannot read the value of the override {override!r} as YAML. Put it in quotes.") from error
    for other in beside:
        at.pop(other.rpartition(".")[2], None)


def _say_no_more_than_is_so(content: dict[str, Any], name: str, overrides: Sequence[str]) -> None:
    """Takes out what a recipe says of its own parts and data, where overrides name others: a card would repeat it."""
    given = {key.strip(): value.strip() for key, _, value in (override.partition("=") for override in overrides)}
    others = [key for key in given if key in (*SHORT_KEYS, *DATA) or key.startswith("model.")]
    if "description" in content and "description" not in given and others:
        content["description"] = f"As the recipe {name}, with {', '.join(f'{key}={given[key]}' for key in others)}"
    if any(key in DATA for key in others):
        for key in SAID_OF_DATA:
            if key not in given:
                content.pop(key, None)


def _build(kind: type[Section], content: Any, where: str) -> Section:
    """An instance of the dataclass `kind`; `where` is the dotted name of the section, for the messages."""
    if not isinstance(content, Mapping):
        raise RecipeError(f"{where} must be a section with keys; found {content!r}.")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    for key in content:
        if key not in fields:
            if where:
                raise UnknownNameError(f"key in {where}", str(key), fields)
            within = [name for name in fields if key in getattr(hints[name], "__dataclass_fields__", ())]
            meant = [f"{section}.{key}" for section in within]
            raise UnknownNameError("key in the recipe", str(key), [METHOD, *fields], meant)
    values: dict[str, Any] = {}
    for key, field in fields.items():
        dotted = f"{where}.{key}" if where else key
        if key in content:
            values[key] = _value(hints[key], content[key], dotted)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise RecipeError(f"The recipe does not say {dotted}. Add it, or give it with --set {dotted}=…")
    return kind(**values)


def _value(hint: Any, value: Any, dotted: str) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        (hint,) = [choice for choice in typing.get_args(hint) if choice is not type(None)]
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, dotted)  # type: ignore[arg-type]
    if typing.get_origin(hint) is tuple:
        parts = typing.get_args(hint)
        if parts[-1] is Ellipsis:
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise RecipeError(f"{dotted} must be a list; found {value!r}.")
            return tuple(_value(parts[0], item, f"{dotted}[{place}]") for place, item in enumerate(value))
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != len(parts):
            raise RecipeError(f"{dotted} must be a list of {len(parts)} values; found {value!r}.")
        return tuple(_value(part, item, dotted) for part, item in zip(parts, value, strict=True))
    return _scalar(hint, value, dotted)


def _scalar(hint: type, value: Any, dotted: str) -> Any:
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 3e-3 (no point) as text
        except ValueError as error:
            raise RecipeError(f"{dotted} must be a number; found {value!r}.") from error
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        words = {str: "text", int: "a whole number", bool: "true or false", float: "a number"}
        raise RecipeError(f"{dotted} must be {words[hint]}; found {value!r}.")
    return value
