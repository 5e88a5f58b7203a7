"""Scores in the text of a card: eval results in its header for the Hub, and a table for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from huggingface_hub import EvalResult
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

from linmap.cards.scores import commands_of, control_shown, score_tables
from linmap.errors import ModelCardError

__all__ = ["scores_in", "with_scores"]

BEGIN = "<!-- Scores by linmap evaluate: begin. What stands up to the end is written anew with every measurement. -->"
END = "<!-- Scores by linmap evaluate: end -->"
HEADING = "## Scores"
NOTHING = "Not measured."
INDEX = "model-index"
UNKNOWN = "unknown"  # the Hub wants a name
HOW = ("control", "photos", "texts", "questions", "tokenizer", "decoding", "command")
"""What of a score goes into the arguments of its metric: the Hub has no place for it elsewhere."""

_HEADER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)


def with_scores(text: str, scores: Sequence[Mapping[str, Any]], name: str, where: str = "the card") -> str:
    """A card's text with `scores` in its header and in its section "Scores"; everything else as it was.

    A score measured in the same way before is replaced, all others stay.

    Args:
        text: Of the card, without its stamp.
        scores: As `model_card` takes them.
        name: What the model is called in the header, unless it has a name there.
        where: The card, in messages.

    Raises:
        ModelCardError: The header is damaged.
    """
    header, body = _split(text)
    facts = _facts(header, where)
    results = _merged(_results(facts, where), scores, task=facts.get("pipeline_tag") or "image-to-text")
    index = eval_results_to_model_index(_model_name(facts) or name, results)
    header = _with_index(header, index, facts, where)
    body = _with_table(body, [score for score in map(_score, results) if score is not None])
    return f"---\n{header}---\n{body}"


def scores_in(text: str) -> list[dict[str, Any]]:
    """What the header of a card says that linmap measured, as `with_scores` takes it.

    Raises:
        ModelCardError: The header is damaged.
    """
    header, _ = _split(text)
    results = _results(_facts(header, "the card"), "the card")
    return [score for score in map(_score, results) if score is not None]


def _split(text: str) -> tuple[str, str]:
    """The lines of the header, and the rest."""
    found = _HEADER.match(text)
    return (found.group(1), text[found.end() :]) if found else ("", text)


def _facts(header: str, where: str) -> dict[str, Any]:
    try:
        facts = yaml.safe_load(header) or {}
    except yaml.YAMLError as error:
        raise ModelCardError(
            f"The header of {where} is no YAML ({' '.join(str(error).split())}); mend it, or save the model again."
        ) from error
    if not isinstance(facts, dict):
        raise ModelCardError(
            f"The header of {where} holds no names with their values; mend it, or save the model again."
        )
    return facts


def _model_name(facts: Mapping[str, Any]) -> str | None:
    index = facts.get(INDEX)
    return index[0]["name"] if index else None


def _results(facts: Mapping[str, Any], where: str) -> list[EvalResult]:
    """What the card says was measured, by whomever."""
    if not facts.get(INDEX):
        return []
    try:
        return model_index_to_eval_results(facts[INDEX])[1]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelCardError(
            f"The {INDEX} in the header of {where} is not as the Hub has it ({type(error).__name__}: {error}); "
            "mend it, or take it out."
        ) from error


def _merged(there: list[EvalResult], scores: Sequence[Mapping[str, Any]], task: str) -> list[EvalResult]:
    new = [_result(score, task) for score in scores]
    places = {_key(one): one for one in new}
    kept = [places.pop(_key(one), one) for one in there]
    return kept + [one for one in new if _key(one) in places]


def _result(score: Mapping[str, Any], task: str) -> EvalResult:
    dataset = str(score.get("dataset") or UNKNOWN)
    control = None if score.get("control") in (None, "none") else str(score["control"])
    how = {name: score[name] for name in HOW if score.get(name) is not None and name != "control"}
    return EvalResult(
        task_type=str(score.get("task") or task),
        dataset_type=_slug(dataset),
        dataset_name=dataset,
        dataset_config=score.get("domain"),
        dataset_split=score.get("split"),
        metric_type=_slug(str(score["metric"]).replace("-", "_")),
        metric_name=str(score["metric"]) if control is None else f"{score['metric']} ({control_shown(control)})",
        metric_value=score["value"],
        metric_args={"metric": str(score["metric"]), **({} if control is None else {"control": control}), **how},
    )


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-").lower()


def _key(result: EvalResult) -> tuple[Any, ...]:
    """What was measured, and in what way: not how much it was."""
    args = result.metric_args if isinstance(result.metric_args, dict) else {}
    how = tuple(str(args.get(name)) for name in HOW if name != "command")
    named = (
        result.task_type,
        result.dataset_name,
        result.dataset_config,
        result.dataset_split,
        result.dataset_revision,
    )
    return (*named, result.metric_type, result.metric_name, *how)


def _score(result: EvalResult) -> dict[str, Any] | None:
    """The inverse of `_result`; None for what did not come from here."""
    args = result.metric_args
    if not isinstance(args, dict) or "metric" not in args or not isinstance(result.metric_value, (int, float)):
        return None
    dataset = None if result.dataset_name == UNKNOWN else result.dataset_name
    where = {"dataset": dataset, "split": result.dataset_split, "domain": result.dataset_config}
    return {**where, **args, "value": result.metric_value}


def _with_index(header: str, index: list[dict[str, Any]], facts: Mapping[str, Any], where: str) -> str:
    """The header with another `model-index`, its other lines untouched."""
    kept, inside = [], False
    for line in header.splitlines(keepends=True):
        inside = line.startswith(f"{INDEX}:") or (inside and not re.match(r"[^\s#-]", line))
        if not inside:
            kept.append(line)
    said = yaml.safe_dump({INDEX: index}, sort_keys=False, allow_unicode=True, width=110)
    new = "".join(kept) + said
    if _facts(new, where) != {**facts, INDEX: index}:
        raise ModelCardError(f"The header of {where} cannot be added to as it is written; take {INDEX} out of it.")
    return new


def _with_table(body: str, scores: Sequence[Mapping[str, Any]]) -> str:
    """The text with the table of all scores: where it was, or in the section "Scores", or at the end."""
    lines = [BEGIN, ""]
    for table in score_tables(scores):
        lines += [f"| {' | '.join(cells)} |" for cells in (table.header, ["---"] * len(table.header), *table.rows)]
    if commands := commands_of(scores):
        lines += ["", "Measured by:", "", "```bash", *commands, "```"]
    block = "\n".join([*lines, "", END])
    if _BLOCK.search(body):
        return _BLOCK.sub(lambda _: block, body, count=1)
    plain = _FENCED.sub(lambda code: " " * len(code[0]), body)  # a # in code is no heading
    section = re.search(rf"^{HEADING}[ \t]*\r?$", plain, re.MULTILINE)
    if section is None:
        return f"{body.rstrip()}\n\n{HEADING}\n\n{block}\n" if body.strip() else f"\n{HEADING}\n\n{block}\n"
    following = re.search(r"^##? ", plain[section.end() :], re.MULTILINE)
    end = section.end() + following.start() if following else len(body)
    nothing = re.compile(rf"^{re.escape(NOTHING)}[ \t]*$", re.MULTILINE).search(plain, section.end(), end)
    if nothing is not None:
        return f"{body[: nothing.start()]}{block}{body[nothing.end() :]}"
    return f"{body[:end].rstrip()}\n\n{block}\n" + (f"\n{body[end:]}" if following else "")
