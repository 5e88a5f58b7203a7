"""What models with a CLIPPO tower have in common: how weights start, what a checkpoint must hold, its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import initialization as init

from linmap.clippo.configuration import ClippoConfig
from linmap.clippo.towers import TokenEmbedding
from linmap.errors import ConfigurationError
from linmap.sharing import SharedModel, taken_for_hub
from linmap.weights.loading_arguments import HUB_ARGUMENTS
from linmap.weights.repositories import checkpoint_directory

__all__ = ["ClippoPreTrainedModel"]


class ClippoPreTrainedModel(SharedModel):
    """What models with a CLIPPO tower have in common: how weights start, and that a card is saved with them."""

    config: ClippoConfig
    config_class = ClippoConfig
    base_model_prefix = "clippo"
    main_input_name = "pixel_values"
    input_modalities = ["image", "text"]  # noqa: RUF012
    model_tags = ["linmap"]  # noqa: RUF012
    card_kind = "clippo"
    starts_anew: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the weights that a checkpoint of another task may lack; they then start as in a new model."""
    accepts_loss_kwargs = False  # the loss is a mean over the pairs of a batch, however they come accumulated
    supports_gradient_checkpointing = False  # `mini_batch_size` saves the same memory

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *arguments: Any, **keywords: Any) -> Any:
        """Loads a model that was saved, or for another task: what that lacks starts anew, and never the tower.

        Args:
            pretrained_model_name_or_path: Folder, or id on the Hub.
            *arguments: As in transformers.
            **keywords: As in transformers; for a classifier `num_labels` or `id2label` say what the classes are.

        Returns:
            The model in eval mode, or with `output_loading_info=True` the model and what was loaded.

        Raises:
            BackboneError: There is no such folder or repository, or the Hub cannot be reached.
            ModelNotFoundError: It holds another kind of model.
            ConfigurationError: A weight is missing; it is never left random.
        """
        wanted = keywords.pop("output_loading_info", False)
        hub = {name: keywords.pop(name) for name in HUB_ARGUMENTS if name in keywords}
        kinds = () if keywords.get("config") else (ClippoConfig.model_type,)
        subfolder = keywords.pop("subfolder", None) or ""
        directory = checkpoint_directory(pretrained_model_name_or_path, kinds=kinds, subfolder=subfolder, **hub)
        loaded: Any = super().from_pretrained(directory, *arguments, **keywords, output_loading_info=True)
        model, info = loaded
        model.name_or_path = model.config.name_or_path = str(pretrained_model_name_or_path)
        missing = sorted(key for key in info["missing_keys"] if not key.startswith(cls.starts_anew))
        if missing:
            raise ConfigurationError(
                f"{pretrained_model_name_or_path} is no {cls.__name__}: {missing[0]} and {len(missing) - 1} other "
                "weights are missing. Load it as what its config.json names under architectures, or name a folder that "
                "linmap train or linmap convert clippo wrote."
            )
        model._freeze_unread()  # whatever is loaded learns
        return (model, info) if wanted else model

    def _freeze_unread(self) -> None:
        """Freezes what the model's task does not read."""

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """The original's start (its models/vit.py): Xavier in the blocks, LeCun in patch embedding and head."""
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            init.trunc_normal_(module.weight, std=(module.in_channels * module.kernel_size[0] ** 2) ** -0.5)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, TokenEmbedding):
            init.normal_(module.tokens.weight, std=module.tokens.embedding_dim**-0.5)
            init.normal_(module.positions, std=module.tokens.embedding_dim**-0.5)
        for name in ("pos_embed", "latent"):
            weight = getattr(module, name, None)
            if isinstance(weight, nn.Parameter):
                init.normal_(weight, std=weight.shape[-1] ** -0.5)
        if isinstance(module, ClippoPreTrainedModel):
            module._start_own_weights()

    def _start_own_weights(self) -> None:
        """Starts what a model holds beside its modules' own, and what starts otherwise than these."""

    def save_pretrained(  # type: ignore[override]
        self,
        save_directory: str | Path,
        *,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Writes the weights, the configuration and a model card.

        Args:
            save_directory: Made if it is not there.
            push_to_hub: Upload the directory afterwards, to `repo_id` or the directory's name.
            **kwargs: As in transformers; `repo_id`, `private`, `token` and others of `push_to_hub` for the upload.
        """
        directory = Path(save_directory)
        hub = taken_for_hub(kwargs)
        super().save_pretrained(directory, **kwargs)
        self.write_card(directory)
        if push_to_hub:
            self._share_saved(directory, **hub)

    def card_facts(self) -> dict[str, Any]:
        """What `write_model_card` is told of the model itself."""
        started = self.config.initialised_from
        parts = {} if started is None else {"tower": started}
        return {"kind": self.card_kind, "backbones": parts, "trained": list(parts)}
