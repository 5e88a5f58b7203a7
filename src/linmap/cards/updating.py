"""New scores in a card that is there: eval results for the Hub and a table for people; every other word is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

from linmap.cards.card import CARD_FILE, _commands
from linmap.cards.scores import score_tables
from linmap.cards.stamp import is_untouched, repository_of, stamped, without_stamp
from linmap.errors import ModelCardError

__all__ = ["update_model_card"]

BEGIN = "<!-- Scores by linmap evaluate: begin. What stands up to the end is written anew with every measurement. -->"
END = "<!-- Scores by linmap evaluate: end -->"
HEADING = "## Scores"
NOTHING = "Not measured."
INDEX = "model-index"
HOW = ("control", "photos", "tokenizer", "decoding", "command")
"""What of a score goes into the arguments of its metric: the Hub has no place for it elsewhere."""

_HEADER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)


def update_model_card(directory: str | Path, scores: Sequence[Mapping[str, Any]]) -> Path:
    """Writes `scores` into the README.md of a model's folder; returns its path.

    They go into the card's header as `model-index`, where the Hub reads them, and as a table into its section "Scores".
    A score measured in the same way before is replaced, all others stay. Everything else in the card stays as it is,
    byte for byte, whoever wrote it; a card that nobody had edited still counts as one afterwards.

    Args:
        directory: With a README.md.
        scores: As `model_card` takes them, `domain` (of the photos) besides.

    Raises:
        ModelCardError: There is no README.md, it cannot be read or written, or its header is damaged.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "README.md").write_text("# Mine")
        >>> how = {"metric": "CIDEr-D", "dataset": "COCO", "photos": 5000}
        >>> card = update_model_card(folder, [{**how, "value": 54.9}, {**how, "value": 4.0, "control": "blind"}])
        >>> "| CIDEr-D | COCO | 5000 | 54.9 | 4.0 |" in card.read_text().splitlines()
        True
    """
    path = Path(directory) / CARD_FILE
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelCardError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); save the model again, which writes "
            "a card, or mend it."
        ) from error
    untouched, repository = is_untouched(text), repository_of(text)
    header, body = _split(without_stamp(text) if untouched else text)
    facts = _facts(header, path)
    results = _merged(_results(facts, path), scores, task=facts.get("pipeline_tag") or "image-to-text")
    index = eval_results_to_model_index(_model_name(facts) or Path(directory).resolve().name, results)
    header = _with_index(header, index, facts, path)
    body = _with_table(body, [score for score in map(_score, results) if score is not None])
    text = f"---\n{header}---\n{body}"
    if untouched:
        text = stamped(text, repository)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(text.encode("utf-8"))
        part.replace(path)
    except OSError as error:
        raise ModelCardError(f"{path} cannot be written ({error.strerror}); the scores are not in it.") from error
    return path


def _split(text: str) -> tuple[str, str]:
    """The lines of the header, and the rest."""
    found = _HEADER.match(text)
    return (found.group(1), text[found.end() :]) if found else ("", text)


def _facts(header: str, path: Path) -> dict[str, Any]:
    try:
        facts = yaml.safe_load(header) or {}
    except yaml.YAMLError as error:
        raise ModelCardError(
            f"The header of {path} is no YAML ({' '.join(str(error).split())}); mend it, or save the model again."
        ) from error
    if not isinstance(facts, dict):
        raise ModelCardError(
            f"The header of {path} holds no names with their values; mend it, or save the model again."
        )
    return facts


def _model_name(facts: Mapping[str, Any]) -> str | None:
    index = facts.get(INDEX)
    return index[0]["name"] if index else None


def _results(facts: Mapping[str, Any], path: Path) -> list[EvalResult]:
    """What the card says was measured, by whomever."""
    if not facts.get(INDEX):
        return []
    try:
        return model_index_to_eval_results(facts[INDEX])[1]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelCardError(
            f"The {INDEX} in the header of {path} is not as the Hub has it ({type(error).__name__}: {error}); mend it, "
            "or take it out."
        ) from error


def _merged(there: list[EvalResult], scores: Sequence[Mapping[str, Any]], task: str) -> list[EvalResult]:
    new = [_result(score, task) for score in scores]
    places = {_key(one): one for one in new}
    kept = [places.pop(_key(one), one) for one in there]
    return kept + [one for one in new if _key(one) in places]


def _result(score: Mapping[str, Any], task: str) -> EvalResult:
    dataset = str(score.get("dataset") or "unknown")
    control = None if score.get("control") in (None, "none") else str(score["control"])
    how = {name: score[name] for name in HOW if score.get(name) is not None and name != "control"}
    return EvalResult(
        task_type=task,
        dataset_type=_slug(dataset),
        dataset_name=dataset,
        dataset_config=score.get("domain"),
        dataset_split=score.get("split"),
        metric_type=_slug(str(score["metric"]).replace("-", "_")),
        metric_name=str(score["metric"]) if control is None else f"{score['metric']} ({control} control)",
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
    where = {"dataset": result.dataset_name, "split": result.dataset_split, "domain": result.dataset_config}
    return {**where, **args, "value": result.metric_value}


def _with_index(header: str, index: list[dict[str, Any]], facts: Mapping[str, Any], path: Path) -> str:
    """The header with another `model-index`, its other lines untouched."""
    kept, inside = [], False
    for line in header.splitlines(keepends=True):
        inside = line.startswith(f"{INDEX}:") or (inside and not re.match(r"[^\s#-]", line))
        if not inside:
            kept.append(line)
    said = yaml.safe_dump({INDEX: index}, sort_keys=False, allow_unicode=True, width=110)
    new = "".join(kept) + said
    if _facts(new, path) != {**facts, INDEX: index}:
        raise ModelCardError(f"The header of {path} cannot be added to as it is written; take {INDEX} out of it.")
    return new


def _with_table(body: str, scores: Sequence[Mapping[str, Any]]) -> str:
    """The text with the table of all scores: where it was, or in the section "Scores", or at the end."""
    lines = [BEGIN, ""]
    for table in score_tables(scores):
        lines += [f"| {' | '.join(cells)} |" for cells in (table.header, ["---"] * len(table.header), *table.rows)]
    if commands := _commands(scores):
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
