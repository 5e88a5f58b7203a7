"""`push_to_hub` of models, configurations and processors: each brings what it wrote, and no card but ours."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar, Self

from huggingface_hub import CommitInfo
from transformers import PreTrainedConfig, PreTrainedModel, ProcessorMixin
from transformers.utils import PROCESSOR_NAME

from linmap.cards import write_model_card
from linmap.cards.card import CARD_FILE
from linmap.cards.stamp import with_tags
from linmap.errors import ModelNotFoundError, SharingError
from linmap.sharing.card import is_draft
from linmap.sharing.contents import bring_record, left_out
from linmap.sharing.pushing import push_folder
from linmap.weights.loading_arguments import HUB_ARGUMENTS
from linmap.weights.repositories import PROCESSOR_FILES, checkpoint_directory

__all__ = ["SharedConfig", "SharedModel", "SharedOnHub", "SharedProcessor", "taken_for_hub"]

PUSH_ARGUMENTS = ("commit_message", "commit_description", "private", "token", "revision", "create_pr")


class SharedOnHub:
    """What stands in for transformers' own sharing, which puts a generic card over whatever card there is."""

    @classmethod
    def register_for_auto_class(cls, auto_class: str | type = "") -> None:
        """Does nothing: transformers would copy linmap's source beside each checkpoint that is saved afterwards."""

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        **kwargs: Any,
    ) -> CommitInfo:
        """Uploads what `save_pretrained` writes, in one commit. See `linmap.sharing.push_folder`.

        Args:
            repo_id: `"organisation/name"`; made if it is not there.
            commit_message: Default: "Upload" and the name of the class.
            commit_description: More about it.
            private: Whether a new repository is private.
            token: Hub token; default: the one that `hf auth login` stored.
            revision: Branch; made if it is not there.
            create_pr: Open a pull request instead of committing.
            **kwargs: Passed to `save_pretrained`.

        Returns:
            The commit, which is its URL.

        Raises:
            SharingError: The Hub or the network refuses, or something that was saved would be left out; nothing is then
                committed.
        """
        with tempfile.TemporaryDirectory() as directory:
            self._save_to_share(directory, **kwargs)
            if lost := left_out(Path(directory)):
                raise SharingError(
                    f"Nothing was pushed to {repo_id!r}: {', '.join(lost)} would be left out, which no from_pretrained "
                    "of linmap reads. Save without the arguments that ask for it, or push a folder with hf upload."
                )
            return push_folder(
                directory,
                repo_id,
                commit_message=commit_message or f"Upload {type(self).__name__}",
                commit_description=commit_description,
                private=private,
                token=token,
                revision=revision,
                create_pr=create_pr,
            )

    def _save_to_share(self, directory: str, **kwargs: Any) -> None:
        """Writes what `push_to_hub` uploads."""
        self.save_pretrained(directory, **kwargs)  # type: ignore[attr-defined]  # of the class this is mixed into

    def _share_saved(self, directory: str | Path, repo_id: str | None = None, **hub: Any) -> CommitInfo:
        """Uploads the directory that `save_pretrained` has written, to `repo_id` or the directory's name."""
        hub["commit_message"] = hub.get("commit_message") or f"Upload {type(self).__name__}"
        return push_folder(directory, repo_id or Path(directory).resolve().name, **hub)


def taken_for_hub(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Takes out of the arguments of `save_pretrained` those that are for an upload afterwards."""
    return {name: kwargs.pop(name) for name in (*PUSH_ARGUMENTS, "repo_id") if name in kwargs}


class SharedConfig(SharedOnHub, PreTrainedConfig):
    """A configuration of ours."""

    def __post_init__(self, **kwargs: Any) -> None:
        kwargs.pop("auto_map", None)  # of the repository it came from; each push writes its own
        super().__post_init__(**kwargs)

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> None:
        """As in transformers; with `push_to_hub`, arguments of `push_to_hub` and a `repo_id` beside."""
        hub = taken_for_hub(kwargs)
        super().save_pretrained(save_directory, **kwargs)
        if push_to_hub:
            self._share_saved(save_directory, **hub)


class SharedProcessor(SharedOnHub, ProcessorMixin):
    """A processor of ours."""

    found_by: ClassVar[tuple[str, ...]] = (PROCESSOR_NAME,)
    """The files of which one says that there is such a processor."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> Self:  # type: ignore[override]
        """Loads a processor from a directory or the Hub; the weights beside it are not fetched.

        Args:
            pretrained_model_name_or_path: Directory or Hub id.
            **kwargs: `revision`, `token`, `cache_dir`, … of the Hub; others as in transformers.

        Raises:
            BackboneError: There is no such directory or repository, or the Hub cannot be reached.
            ModelNotFoundError: It holds no processor.
        """
        hub = {name: kwargs.pop(name) for name in HUB_ARGUMENTS if name in kwargs}
        subfolder = kwargs.pop("subfolder", None) or ""
        directory = checkpoint_directory(
            pretrained_model_name_or_path, subfolder=subfolder, files=PROCESSOR_FILES, **hub
        )
        if not any((directory / name).is_file() for name in cls.found_by):
            raise ModelNotFoundError(
                f"{pretrained_model_name_or_path} holds no {PROCESSOR_NAME}, so there is no processor to load. Save it "
                "beside the model: processor.save_pretrained(…), or processor.push_to_hub(…)."
            )
        return cls._from_directory(directory, **kwargs)

    @classmethod
    def _from_directory(cls, directory: Path, **kwargs: Any) -> Self:
        """Loads what is on this machine."""
        return super().from_pretrained(str(directory), **kwargs)

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> Any:
        """As in transformers; with `push_to_hub`, arguments of `push_to_hub` and a `repo_id` beside."""
        hub = taken_for_hub(kwargs)
        written = super().save_pretrained(save_directory, **kwargs)
        if push_to_hub:
            self._share_saved(save_directory, **hub)
        return written


class SharedModel(SharedOnHub, PreTrainedModel):
    """A model of ours, whose `save_pretrained` writes all that belongs on the Hub, its card included."""

    def push_to_hub(  # type: ignore[override]
        self,
        repo_id: str,
        *,
        processor: ProcessorMixin | None = None,
        include_backbones: bool | None = None,
        tags: str | list[str] | None = None,
        **kwargs: Any,
    ) -> CommitInfo:
        """Uploads what `save_pretrained` writes, its card included, in one commit.

        A model that was loaded from a folder and is as it was takes that folder's card and record of training along.

        Args:
            repo_id: `"organisation/name"`; made if it is not there.
            processor: The model's; with it one call shares all. It may as well be pushed by itself.
            include_backbones: As in `save_pretrained`, of a model whose frozen parts may be left out.
            tags: For the card, beside its own.
            **kwargs: `commit_message`, `commit_description`, `private`, `token`, `revision` (a branch) and `create_pr`
                as in transformers; what else there is goes to `save_pretrained`.

        Returns:
            The commit: a str, its URL, with `oid` and, of a pull request, `pr_url`.

        Raises:
            SharingError: The Hub or the network refuses; nothing is then committed.
        """
        if include_backbones is not None:
            kwargs["include_backbones"] = include_backbones
        return super().push_to_hub(repo_id, processor=processor, tags=tags, **kwargs)

    @property
    def holds_adapter(self) -> bool:
        """Whether `add_adapter` or `load_adapter` put one into the model: transformers then saves that alone."""
        return bool(getattr(self, "_hf_peft_config_loaded", False))

    def _save_to_share(
        self,
        directory: str,
        *,
        processor: ProcessorMixin | None = None,
        tags: str | list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.save_pretrained(directory, **kwargs)
        if self.name_or_path and Path(self.name_or_path).is_dir():  # a new model has no name
            bring_record(Path(self.name_or_path), Path(directory))
        if tags:
            card = Path(directory) / CARD_FILE
            more = [tags] if isinstance(tags, str) else tags
            card.write_text(with_tags(card.read_text(encoding="utf-8"), more), encoding="utf-8")
        if processor is not None:
            processor.save_pretrained(directory)

    def card_facts(self) -> dict[str, Any]:
        """What `write_model_card` is told of the model itself."""
        raise NotImplementedError

    def write_card(self, directory: str | Path, *, complete: bool | None = None, **facts: Any) -> None:
        """Writes the model's card into a directory; one that somebody edited stays.

        Args:
            directory: Where the model was saved.
            complete: Whether the frozen parts are saved there, too; None where that is as the model was loaded.
            **facts: What `write_model_card` takes beside: `training`, `scores`.
        """
        if complete is None:
            complete = getattr(self.config, "checkpoint_contents", None) == "full"
        card = Path(directory) / CARD_FILE
        if card.is_file() and is_draft(card.read_text(encoding="utf-8")):
            card.unlink()
        write_model_card(Path(directory), **self.card_facts(), complete=complete, **facts)
