"""`transformers.Trainer` that shares a model of ours under the model's own card."""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, HfApi
from torch import Tensor
from transformers import ProcessorMixin, Trainer
from transformers.modelcard import extract_hyperparameters_from_trainer
from transformers.trainer_utils import HubStrategy
from transformers.utils.hub import PushInProgress

from linmap.cards.card import CARD_FILE
from linmap.sharing.contents import contents
from linmap.sharing.pushing import push_folder, refusals, require_private
from linmap.sharing.shared import SharedModel

__all__ = ["SharingTrainer"]

logger = logging.getLogger(__name__)

_UPLOADS = ThreadPoolExecutor(1, thread_name_prefix="linmap-upload")
"""One after another: each push names the commit it stands on."""


class SharingTrainer(Trainer):
    """`transformers.Trainer` whose uploads are those of `model.push_to_hub`: one commit, our card, no pickled file.

    The Trainer of transformers writes a card of its own over whatever card the model saved, and uploads the output
    folder as it is, `training_args.bin` among it. Takes all that it takes; `TrainingArguments(push_to_hub=True)` and
    its `hub_…` settings mean the same. With another Trainer (trl's, say) beside it in a class of your own,
    `class MyTrainer(SharingTrainer, SFTTrainer)`, that one shares so, too. A model that is not ours is pushed as
    transformers pushes it.

    Args:
        *args: What `transformers.Trainer` takes.
        processor: The model's; saved with each checkpoint and uploaded beside it. As the Trainer's `processing_class`
            it would write a language model's special tokens into the configuration.
        **kwargs: What `transformers.Trainer` takes.

    Example:
        >>> from linmap import SharingTrainer
        >>> issubclass(SharingTrainer, Trainer)
        True
    """

    def __init__(self, *args: Any, processor: ProcessorMixin | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._processor = processor

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """The Trainer's own, and the processor beside it."""
        super()._save(output_dir, state_dict)
        if self._processor is not None and self.args.should_save:
            self._processor.save_pretrained(output_dir or str(self.args.output_dir))

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Makes the repository before the first step, so that a run does not end with a token that may not write.

        Args:
            token: Default: `args.hub_token`, or the stored one.
            private: Default: `args.hub_private_repo`.

        Raises:
            SharingError: The Hub or the network refuses.
        """
        with refusals(self.args.hub_model_id or self._output.resolve().name, None):
            super().init_hf_repo(token, private)
            if self.is_world_process_zero() and (self.args.hub_private_repo if private is None else private):
                api = HfApi(token=token or self.args.hub_token)
                require_private(str(self.hub_model_id), api.model_info(str(self.hub_model_id)))

    def create_model_card(self, *arguments: Any, **facts: Any) -> None:
        """Writes the model's own card, with the settings of this run; takes what transformers' method takes.

        Args:
            *arguments: Of the method of transformers, for a model that is not ours.
            **facts: Likewise; of `license` and `dataset` a model of ours takes note.
        """
        model = self._shared_model
        if model is None:
            super().create_model_card(*arguments, **facts)
        elif self.is_world_process_zero():
            settings = extract_hyperparameters_from_trainer(self)
            training = {"license": facts.get("license"), "data": facts.get("dataset"), "recipe": _plain(settings)}
            model.write_card(self._output, training={name: said for name, said in training.items() if said})

    def push_to_hub(  # type: ignore[override]  # transformers returns what upload_folder does, a future among it
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **kwargs: Any,
    ) -> CommitInfo | Future[CommitInfo] | None:
        """Saves the model and uploads it with its processor and its card to `args.hub_model_id`.

        Args:
            commit_message: First line of the commit.
            blocking: Whether to wait for the end of it; else it goes on beside.
            token: Hub token; default: `args.hub_token`, or the stored one.
            revision: Branch; default: `args.hub_revision`, or main.
            private: Whether a new repository is private; default: `args.hub_private_repo`.
            **kwargs: Of `create_model_card`.

        Returns:
            The commit; a future of it with `blocking=False`; None in the processes that do not upload.

        Raises:
            SharingError: The Hub or the network refuses; nothing is then committed.
        """
        if self._shared_model is None:
            return super().push_to_hub(commit_message, blocking, token, revision, private, **kwargs)
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self.save_model(_internal_call=True)  # every process takes part
        if not self.is_world_process_zero():
            return None
        self.create_model_card(**kwargs)
        self._finish_current_push()
        pushed = self._push(commit_message or "End of training", token, revision)
        return pushed.result() if blocking else pushed

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """While training goes on: the checkpoint's model, and the checkpoint itself where `hub_strategy` wants it."""
        model = self._shared_model
        if model is None:
            super()._push_from_checkpoint(checkpoint_folder)
            return
        if not self.is_world_process_zero() or self.args.hub_strategy == HubStrategy.END:
            return
        under_way: Any = self.push_in_progress
        if under_way is not None and not under_way.is_done() and not self.args.hub_always_push:
            return
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        checkpoint = Path(checkpoint_folder)
        for path in contents(checkpoint):  # copied: the checkpoint may be gone before it is uploaded
            if path != CARD_FILE:
                (self._output / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(checkpoint / path, self._output / path)
        model.write_card(self._output)
        when = f"Training in progress, step {self.state.global_step}"
        jobs: list[Future[Any]] = [self._push(when, None, None)]
        if self.args.hub_strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS):
            last = self.args.hub_strategy == HubStrategy.CHECKPOINT
            jobs.append(
                _UPLOADS.submit(
                    HfApi(token=self.args.hub_token).upload_folder,
                    repo_id=str(self.hub_model_id),
                    folder_path=checkpoint,
                    path_in_repo="last-checkpoint" if last else checkpoint.name,
                    commit_message=f"{when}, checkpoint",
                    revision=self.args.hub_revision,
                )
            )
        for job in jobs:
            job.add_done_callback(_say_if_refused)
        pushes: Any = [*(under_way.jobs if under_way is not None else []), *jobs]
        self.push_in_progress = PushInProgress(pushes)  # type: ignore[assignment]  # declared None

    @property
    def _shared_model(self) -> SharedModel | None:
        model = self.accelerator.unwrap_model(self.model)
        return model if isinstance(model, SharedModel) else None

    @property
    def _output(self) -> Path:
        return Path(str(self.args.output_dir))

    def _push(self, message: str, token: str | None, revision: str | None) -> Future[CommitInfo]:
        return _UPLOADS.submit(
            push_folder,
            self._output,
            str(self.hub_model_id),
            commit_message=message,
            token=token or self.args.hub_token,
            revision=revision or self.args.hub_revision,
        )


def _say_if_refused(push: Future[Any]) -> None:
    """The run goes on: its checkpoints are here, and the next push brings all."""
    if (error := push.exception()) is not None:
        logger.warning("A checkpoint was not shared: %s", error)


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: said if isinstance(said, bool | int | float) else str(said) for name, said in settings.items()}
