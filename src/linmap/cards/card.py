"""The card of a saved model: every sentence comes from a fact passed in, or holds for the method."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2
import yaml
from huggingface_hub import ModelCard, ModelCardData

from linmap.cards.eval_results import with_scores
from linmap.cards.licences import forbids_nothing, notice
from linmap.cards.stamp import is_untouched, stamped
from linmap.errors import UnknownNameError
from linmap.weights.identity import Fingerprint

__all__ = ["CARD_FILE", "KINDS", "model_card", "write_model_card"]

CARD_FILE = "README.md"
_EMPTY_LINES = re.compile(r"\n{3,}")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=False)  # Markdown


@dataclass(frozen=True)
class CardKind:
    """What the cards of one kind of model have for themselves, beside a template of the kind's name.

    Args:
        pipeline_tag: The Hub's name of the task.
        tags: What the Hub finds it by.
    """

    pipeline_tag: str
    tags: tuple[str, ...]


KINDS: Mapping[str, CardKind] = MappingProxyType(
    {
        "linear_vision_prefix": CardKind(
            "image-text-to-text",
            ("linmap", "linear-vision-prefix", "limber", "image-captioning", "arxiv:2209.15162"),
        ),
        "dual_encoder": CardKind(
            "zero-shot-image-classification",
            ("linmap", "dual-encoder", "clip", "contrastive", "image-text-retrieval", "arxiv:2103.00020"),
        ),
        "decap": CardKind(
            "image-to-text",
            ("linmap", "decap", "image-captioning", "text-only-training", "arxiv:2303.03032"),
        ),
        "clippo": CardKind(
            "zero-shot-image-classification",
            ("linmap", "clippo", "contrastive", "image-text-retrieval", "text-as-pixels", "arxiv:2212.08045"),
        ),
        "clippo_sequence_classification": CardKind(
            "text-classification",
            ("linmap", "clippo", "text-as-pixels", "arxiv:2212.08045"),
        ),
        "clippo_question_answering": CardKind(
            "visual-question-answering",
            ("linmap", "clippo", "text-as-pixels", "arxiv:2212.08045"),
        ),
    }
)


def model_card(
    *,
    kind: str = "linear_vision_prefix",
    backbones: Mapping[str, Mapping[str, Any]],
    trained: Sequence[str] = (),
    training: Mapping[str, Any] | None = None,
    scores: Sequence[Mapping[str, Any]] | None = None,
    complete: bool = False,
    name: str = "linmap",
) -> ModelCard:
    """The card as an object; `str(card)` is what stands in the README.md of a model folder.

    Args:
        kind: `"linear_vision_prefix"`, `"dual_encoder"`, `"decap"`, `"clippo"`, `"clippo_sequence_classification"` or
            `"clippo_question_answering"`.
        backbones: The parts around what was learned, each under its role, as `Fingerprint.to_dict` gives them:
            `"encoder"` and `"language_model"` of a prefix, `"image_encoder"` and `"text_encoder"` of a dual encoder,
            `"dual_encoder"` and a frozen `"decoder"` of DeCap, the ViT that the `"tower"` of CLIPPO started from. Of a
            part that is not there the card says that the model takes precomputed features.
        trained: The roles of those that went on learning; the others are frozen. Of a prefix also `"adapters"`, where
            the language model has them.
        training: How the projection was made. `command` (str), `recipe` (mapping or YAML text), `data` (text, or a
            mapping of facts) and `license` (of the projection, an identifier the Hub knows) have places of their own;
            every other entry becomes a line "key: value". None: the card says that nothing is known about it.
        scores: One mapping a measurement: `metric` (str) and `value` (number); `dataset`, `split`, `tokenizer`,
            `decoding`, `photos` (how it was measured), `control` (absent or `"none"` for the model itself, else
            `"blind"`, `"random-encoder"`, `"chance"`, …) and `command` where known. Controls stand beside the score
            they belong to. All of them go into the header, too, as the Hub's `model-index`.
        complete: Whether the checkpoint holds the frozen parts, too.
        name: What the model is called in the `model-index`.

    A part whose licence forbids something, or is not known, is named at the top. The header's `license` is that of
    `training`; where such a part is inside the checkpoint it is `other`, since nobody can give away what is not theirs.

    Raises:
        UnknownNameError: There are no cards of that kind.

    Example:
        >>> lm = {"name": "gpt2", "library": "transformers", "id": "openai-community/gpt2", "license": "mit"}
        >>> card = model_card(backbones={"language_model": lm})
        >>> card.data.base_model
        ['openai-community/gpt2']
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of model card", kind, KINDS)
    parts = {role: Fingerprint.from_dict(facts) for role, facts in backbones.items()}
    facts = dict(training or {})
    recipe = facts.pop("recipe", None)
    data = facts.pop("data", None)
    license_name = facts.pop("license", None)
    frozen = {role: part for role, part in parts.items() if role not in trained}
    starts = {role: part for role, part in parts.items() if role in trained}
    inside = parts if complete else starts
    free = all(forbids_nothing(part.license) for part in inside.values() if part.pretrained)
    header = ModelCardData(
        library_name="linmap",
        pipeline_tag=KINDS[kind].pipeline_tag,
        license=license_name if free or license_name is None else "other",
        base_model=_hub_models(parts.values()) or None,
        tags=list(KINDS[kind].tags),
    )
    card = _TEMPLATES.get_template(f"{kind}.md.jinja").render(
        card_data=header.to_yaml(),
        parts=frozen,
        starts=starts,
        complete=complete,
        notices=[said for role, part in parts.items() if (said := notice(role.replace("_", " "), part))],
        learned=tuple(trained),
        trained=training is not None,
        command=facts.pop("command", None),
        recipe=recipe if isinstance(recipe, str) or recipe is None else _yaml(recipe),
        data=_lines(data) if isinstance(data, Mapping) else data,
        facts=_lines(facts),
        license_name=license_name,
    )
    card = _EMPTY_LINES.sub("\n\n", card)  # sections that had nothing to say leave empty lines behind
    return ModelCard(with_scores(card, scores, name) if scores else card)


def write_model_card(
    directory: Path,
    *,
    kind: str = "linear_vision_prefix",
    backbones: Mapping[str, Mapping[str, Any]],
    trained: Sequence[str] = (),
    training: Mapping[str, Any] | None = None,
    scores: Sequence[Mapping[str, Any]] | None = None,
    complete: bool = False,
    overwrite: bool = False,
) -> Path:
    """Writes the card as README.md into `directory`, which exists; returns its path. See `model_card` for the facts.

    A README.md that somebody edited, or that did not come from linmap, is left as it is: a card ends with a digest of
    its own text, and only one that still matches its digest is written anew. `overwrite=True` replaces any.
    """
    path = Path(directory) / CARD_FILE
    if path.exists() and not overwrite and not is_untouched(path.read_text(encoding="utf-8")):
        return path
    card = model_card(
        kind=kind,
        backbones=backbones,
        trained=trained,
        training=training,
        scores=scores,
        complete=complete,
        name=path.resolve().parent.name,
    )
    path.write_text(stamped(str(card)), encoding="utf-8")
    return path


def _hub_models(parts: Any) -> list[str]:
    """Ids of the parts that are repositories on the Hub: pretrained, of transformers, with an owner in their id."""
    return [
        part.id
        for part in parts
        if part.library == "transformers"
        and part.pretrained
        and _HUB_ID.fullmatch(part.id)
        and (":" not in part.name or part.name == f"hf:{part.id}")
    ]


def _yaml(facts: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(facts), sort_keys=False, allow_unicode=True, width=110).rstrip()


def _lines(facts: Mapping[str, Any]) -> list[str]:
    return [f"{key.replace('_', ' ')}: {value}" for key, value in facts.items() if value is not None]
