"""The output folder of a run: what may be written into it, and where a run that was cut off goes on."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from linmap.errors import LinmapError, OutputFolderError
from linmap.recipes.checkpoints import find_checkpoints
from linmap.recipes.recipe import AnyRecipe, load_recipe, recipe_to_yaml

__all__ = ["OutputFolder"]

logger = logging.getLogger(__name__)

RECIPE_FILE = "recipe.yaml"
LOG_FILE = "training_log.json"
SAMPLES = "samples"
MEMORY = "memory"
SAID_IN_THE_CARD = frozenset({"description", "source", "license", "data_terms"})
"""Words about a run: it goes on with others, too."""

KEPT = ("cache", "README.md")  # neither is deleted: features say what they are of, and a card that was edited is kept
PRODUCTS = frozenset(
    {
        RECIPE_FILE,
        LOG_FILE,
        "loss.png",
        "loss.part.png",
        "recall.png",
        "recall.part.png",
        "cider_d.png",
        "cider_d.part.png",
        "samples.md",
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "processor_config.json",
        "preprocessor_config.json",
        "chat_template.jinja",
        "tokenizer.json",
        "tokenizer_config.json",
        "tokenizer.model",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
    }
)
CHECKPOINT = re.compile(r"checkpoint-\d+")
WRITTEN_IN = {
    SAMPLES: re.compile(r"\d+\.jpg|captions\.json"),
    MEMORY: re.compile(r"memory\.json|(latents|captions)-\d+\.safetensors"),
}


class OutputFolder:
    """Folder of one run. `recipe.yaml` is the first file written into it, `training_log.json` the last.

    Args:
        path: The folder; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def finished(self) -> bool:
        """Whether the run in it was written to its end."""
        return (self.path / LOG_FILE).is_file()

    @property
    def cache(self) -> Path:
        """Where the encoded photos are kept."""
        return self.path / "cache"

    @property
    def holds_run(self) -> bool:
        """Whether a run was started in it. A file `recipe.yaml` does not say so: a user's own may have that name."""
        kept = self.path / RECIPE_FILE
        if not kept.is_file():
            return False
        if self.finished or any(self.cache.glob("*.safetensors")):
            return True
        try:  # cut off early: the recipe is all there is, in the very words that `open` writes
            return recipe_to_yaml(load_recipe(kept)) == kept.read_text(encoding="utf-8")
        except LinmapError:
            return False

    @contextmanager
    def begun(self, *, overwrite: bool) -> Iterator[None]:
        """A run in this folder; one that is refused before it has written more than its recipe leaves no run behind."""
        held = self.holds_run and not overwrite
        try:
            yield
        except LinmapError as error:
            alone = self.path.is_dir() and [file.name for file in self.path.iterdir()] == [RECIPE_FILE]
            if alone and not held and not isinstance(error, OutputFolderError):
                (self.path / RECIPE_FILE).unlink(missing_ok=True)
            raise

    def check(self, recipe: AnyRecipe, *, resume: bool, overwrite: bool) -> None:
        """Raises if `open` would, and changes nothing.

        Raises:
            OutputFolderError: when the folder holds something that would be lost, or nothing to go on from.
        """
        if resume and overwrite:
            raise OutputFolderError("Resuming and overwriting exclude each other: choose one.")
        if resume:
            self._check_same(recipe)
        elif self.path.exists() and not self.path.is_dir():
            raise OutputFolderError(f"{self.path} is a file; choose a folder as --output.")
        elif not self.path.is_dir() or not any(self.path.iterdir()):
            return
        elif not overwrite:
            if not self.holds_run:
                raise OutputFolderError(
                    f"{self.path} holds files that are not of a training run; choose another --output."
                )
            state = "a finished run" if self.finished else "a run that was cut off: --resume goes on with it"
            raise OutputFolderError(f"{self.path} holds {state}. Choose another --output, or --overwrite to lose it.")
        elif not self.holds_run:
            raise OutputFolderError(
                f"{self.path} holds no training run, so it is not overwritten; choose another --output."
            )
        elif foreign := _foreign(self.path):
            raise OutputFolderError(
                f"{foreign[0]} was not written by the run in {self.path}, so nothing there is overwritten. Move it "
                "away, or choose another --output."
            )

    def _check_same(self, recipe: AnyRecipe) -> None:
        """Raises unless a run of this very recipe can be gone on with."""
        if not self.holds_run:
            raise OutputFolderError(f"There is no run in {self.path} to resume: start it without --resume.")
        kept = self.path / RECIPE_FILE
        before, after = (
            {key: value for key, value in said.items() if key not in SAID_IN_THE_CARD}
            for said in (yaml.safe_load(kept.read_text(encoding="utf-8")), yaml.safe_load(recipe_to_yaml(recipe)))
        )
        changed = _differences(before, after)
        if changed:
            raise OutputFolderError(
                f"The run in {self.path} was started with other values of {', '.join(changed)}. Resume it with the "
                f"same recipe ({kept}), or choose another --output."
            )

    def open(self, recipe: AnyRecipe, *, resume: bool = False, overwrite: bool = False) -> Path | None:
        """Makes the folder ready and says where to go on from.

        Returns:
            The last complete checkpoint, or None to start at the first step.

        Raises:
            OutputFolderError: see `check`.
        """
        self.check(recipe, resume=resume, overwrite=overwrite)
        if not resume:
            if self.path.is_dir():
                _empty(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
            part = self.path / f"{RECIPE_FILE}.part"
            part.write_text(recipe_to_yaml(recipe), encoding="utf-8")
            part.replace(self.path / RECIPE_FILE)
            return None
        found = find_checkpoints(self.path)
        for incomplete, reason in found.incomplete:
            logger.warning("%s is incomplete (%s) and is skipped", incomplete, reason)
        if found.last is None:
            logger.warning("%s holds no complete checkpoint: starting at the first step", self.path)
        else:
            logger.warning("Resuming from %s", found.last)
        return found.last


def _foreign(folder: Path) -> list[Path]:
    """What lies in `folder` and was not written by a run."""
    foreign: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name in WRITTEN_IN and path.is_dir():
            own = WRITTEN_IN[path.name]
            foreign += [inner for inner in sorted(path.iterdir()) if not own.fullmatch(_whole(inner))]
        elif path.name not in KEPT and _whole(path) not in PRODUCTS and not CHECKPOINT.fullmatch(path.name):
            foreign.append(path)
    return foreign


def _whole(path: Path) -> str:
    """The name of a file that may be half written."""
    return path.name.removesuffix(".part")


def _empty(folder: Path) -> None:
    """Removes what a run writes, its log first: what is left if this is cut off does not pass for a finished run."""
    (folder / LOG_FILE).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.name in KEPT or path.name == RECIPE_FILE:  # the recipe is replaced, the folder stays a run's
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _differences(before: dict, after: dict, prefix: str = "") -> list[str]:
    """Dotted keys whose values differ."""
    changed: list[str] = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            changed += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            changed.append(f"{prefix}{key}")
    return changed
