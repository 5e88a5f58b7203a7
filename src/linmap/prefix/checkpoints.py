"""What a checkpoint holds and how the rest is found: what was learned is saved, frozen parts are named and checked."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import GENERATION_CONFIG_NAME

from linmap import encoders, language
from linmap.errors import BackboneError, ConfigurationError, ProjectionError
from linmap.language.recorded import (
    LANGUAGE_MODEL_ARGUMENTS,
    portable_config,
    record_of,
    recorded_language_model,
    savable,
)
from linmap.prefix.configuration import LinearVisionPrefixConfig
from linmap.prefix.frozen_parts import named_encoder, own_encoder, require_fit, trained_encoder
from linmap.prefix.learned import load_learned_parts
from linmap.sharing import SharedModel, taken_for_hub
from linmap.weights.loading_arguments import HUB_ARGUMENTS, loading_info, sorted_arguments
from linmap.weights.records import put_down
from linmap.weights.repositories import checkpoint_directory
from linmap.weights.samples import is_the_same, samples_of

__all__ = ["IMAGE_TOKEN", "PrefixCheckpoints"]

IMAGE_TOKEN = "<image>"
ENCODER_FOLDER = "encoder"
LANGUAGE_MODEL_FOLDER = "language_model"


class PrefixCheckpoints(SharedModel):
    """Making, loading, saving and sharing of `LinearVisionPrefixModel`, apart from its arithmetic."""

    config: LinearVisionPrefixConfig
    config_class = LinearVisionPrefixConfig
    encoder: encoders.ImageEncoder | None
    projector: nn.Linear
    adapters: nn.ModuleList | None
    language_model: PreTrainedModel
    _as_loaded: Mapping[str, list[Tensor]] = {}

    @classmethod
    def from_backbones(
        cls,
        encoder: str | encoders.ImageEncoder | None,
        language_model: str | PreTrainedModel,
        *,
        features: str = "grid",
        grid_size: int | None = None,
        prefix_length: int = 1,
        feature_dim: int | None = None,
        num_image_tokens: int | None = None,
        projector_dropout: float = 0.0,
        trained_encoder: bool = False,
        adapter_downsample: int | None = None,
        image_token_id: int | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        encoder_kwargs: Mapping[str, Any] | None = None,
        **language_model_kwargs: Any,
    ) -> Self:
        """Joins a pretrained encoder and a pretrained language model by a new, untrained projection.

        Args:
            encoder: `"timm:NAME[.TAG]"`, `"open_clip:NAME/TAG"`, `"hf:REPO_OR_DIR"`, `"wheel:NAME"`, a loaded
                `ImageEncoder`, or None for a model that takes `image_features` only.
            language_model: Hub id, directory, `.gguf` file, `"wheel:NAME"`, or a loaded causal language model.
            features: See `LinearVisionPrefixConfig`, as for the next seven.
            grid_size: As there.
            prefix_length: As there.
            feature_dim: As there; needed without an encoder.
            num_image_tokens: As there; needed for grid features without an encoder.
            projector_dropout: As there.
            trained_encoder: As there.
            adapter_downsample: As there.
            image_token_id: Id of the placeholder; by default the id that `<image>` has, or would get, in the tokenizer.
            tokenizer: The tokenizer, where it is not to be had under the language model's name.
            encoder_kwargs: Passed to `load_encoder` (`pretrained`, `seed`, `revision`, `dtype`, …).
            **language_model_kwargs: Passed to the language model alone (`dtype`, `device_map`, `quantization_config`,
                `gguf_file`, `attn_implementation`, `revision`, …).

        Returns:
            The model in eval mode, its frozen parts frozen.
        """
        gguf_file = language_model_kwargs.get("gguf_file")
        language_name = None
        if isinstance(language_model, str):
            language_name = language_model
            language_model, language_fingerprint = language.load_language_model(language_model, **language_model_kwargs)
        else:
            language_fingerprint = None
        if isinstance(encoder, str):
            encoder = encoders.load_encoder(encoder, **(encoder_kwargs or {}))
        if image_token_id is None:
            hub = {name: language_model_kwargs[name] for name in HUB_ARGUMENTS if name in language_model_kwargs}
            image_token_id = _image_token_id(tokenizer, language_name, gguf_file=gguf_file, **hub)
        backbones: dict[str, Any] = {}
        if encoder is not None:
            backbones["encoder"] = encoder.fingerprint.to_dict()
        if language_fingerprint is not None:
            backbones["language_model"] = record_of(language_fingerprint, gguf_file)
        config = LinearVisionPrefixConfig(
            vision_config=None if encoder is None else copy.deepcopy(encoder.config),
            text_config=portable_config(language_model.config),
            feature_dim=feature_dim,
            features=features,
            grid_size=grid_size,
            prefix_length=prefix_length,
            num_image_tokens=num_image_tokens,
            projector_dropout=projector_dropout,
            trained_encoder=trained_encoder,
            adapter_downsample=adapter_downsample,
            image_token_id=image_token_id,
            backbones=backbones,
        )
        return cls(config, encoder, language_model)._beside_language_model()._remember_frozen().eval()

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        config: LinearVisionPrefixConfig | None = None,
        encoder: str | encoders.ImageEncoder | Literal[False] | None = None,
        language_model: str | PreTrainedModel | None = None,
        encoder_kwargs: Mapping[str, Any] | None = None,
        subfolder: str = "",
        trust_remote_code: bool | None = None,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Loads the projection from a directory or the Hub, and the frozen parts from where its config names them.

        Args:
            pretrained_model_name_or_path: Directory or Hub id.
            config: Instead of the checkpoint's own.
            encoder: The frozen encoder, where it is no longer found under its recorded name, or is loaded already. One
                that learned comes with the checkpoint, and no other is taken.
                False loads none: the model takes `image_features`, and a checkpoint saved from it still names the one
                it was trained with.
            language_model: Likewise for the language model. One that is loaded already is not recorded: a checkpoint of
                the projection alone, saved from the result, has to be told again which it is.
            encoder_kwargs: Passed to `load_encoder`; of a self-contained checkpoint only `dtype` can be chosen.
            subfolder: Folder inside the repository or directory.
            trust_remote_code: Taken as the Auto classes pass it; nothing from the network is executed.
            output_loading_info: Return `(model, info)` as transformers does; nothing is ever missing or mismatched.
            **kwargs: Hub arguments (`revision`, `token`, `cache_dir`, …) for the checkpoint, and but for `revision` and
                `force_download` for the language model too; `dtype`, `device_map`, `quantization_config`, `gguf_file`,
                `attn_implementation` for the language model alone. Without a `dtype`, or with `"auto"`, each frozen
                part is loaded in the dtype it was saved with; the projection is float32 always.

        Raises:
            ProjectionError: No projection is there, or it does not fit the encoder or the language model.
            BackboneError: A frozen part cannot be found; it is never replaced by random weights.
            FingerprintMismatchError: A frozen part is not the one the projection was trained with.
        """
        hub, language_kwargs = sorted_arguments(
            kwargs, "encoder, language_model, encoder_kwargs", of_part=LANGUAGE_MODEL_ARGUMENTS
        )
        kinds = () if config else (LinearVisionPrefixConfig.model_type,)
        directory = checkpoint_directory(pretrained_model_name_or_path, kinds=kinds, subfolder=subfolder, **hub)
        config = config or LinearVisionPrefixConfig.from_pretrained(directory)
        full = config.checkpoint_contents == "full"
        if config.trained_encoder:
            encoder = trained_encoder(config, encoder, directory)
        elif isinstance(encoder, encoders.ImageEncoder):
            put_down(config, "encoder", encoder.fingerprint.to_dict())
        elif config.vision_config is not None and encoder is not False:
            if encoder is None and full:
                encoder = own_encoder(directory / ENCODER_FOLDER, encoder_kwargs)
            else:
                encoder = named_encoder(config, encoder, str(directory), encoder_kwargs or {})
        if isinstance(encoder, encoders.ImageEncoder) and not config.trained_encoder:
            require_fit(encoder, config)
        if isinstance(language_model, PreTrainedModel):
            # nobody can tell where its weights lie, and the record speaks of others
            put_down(config, "language_model", None)
        elif language_model is None and full:
            language_model, _ = language.load_language_model(str(directory / LANGUAGE_MODEL_FOLDER), **language_kwargs)
        else:
            hub = {name: value for name, value in hub.items() if name not in ("revision", "force_download")}
            language_model = recorded_language_model(
                config, "language_model", language_model, str(directory), hub, language_kwargs
            )
        config.text_config = portable_config(language_model.config)
        model = cls(config, encoder, language_model)
        unexpected = load_learned_parts(model, config, directory)
        if (directory / GENERATION_CONFIG_NAME).is_file():
            model.generation_config = GenerationConfig.from_pretrained(directory)
        model.name_or_path = config.name_or_path = str(pretrained_model_name_or_path)
        model._beside_language_model()._remember_frozen().eval()
        if output_loading_info:
            return model, loading_info(unexpected)  # type: ignore[return-value]  # declared as transformers declares it
        return model

    def save_pretrained(  # type: ignore[override]
        self,
        save_directory: str | Path,
        *,
        include_backbones: bool | None = None,
        state_dict: dict[str, Tensor] | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Writes the projection, the configuration and a model card: a few megabytes.

        What learned with the projection (adapters, a trained encoder) is in the same file.

        Args:
            save_directory: Made if it is not there.
            include_backbones: Write the frozen parts too, in the folders `encoder` and `language_model`, each in its
                own dtype; such a checkpoint needs nothing else. None does so for a model that was loaded from one.
            state_dict: Weights to save instead of the model's own, as Trainer passes them.
            push_to_hub: Upload the directory afterwards, to `repo_id` or the directory's name.
            **kwargs: As in transformers; `repo_id`, `private`, `token` and others of `push_to_hub` for the upload.

        Raises:
            ConfigurationError: Weights of the encoder or the language model learn, or are no longer those that the
                configuration names, and would be left out.
        """
        directory = Path(save_directory)
        hub = taken_for_hub(kwargs)
        if include_backbones is None:
            include_backbones = self.config.checkpoint_contents == "full"
        if self.encoder is None and self.config.trained_encoder:
            raise ConfigurationError(
                "This model was loaded without its encoder, which learned with the projection and is found nowhere "
                "else: a checkpoint would lose it. Load the model with its encoder."
            )
        if include_backbones and self.encoder is None and self.config.vision_config is not None:
            raise ConfigurationError(
                "This model was loaded without its encoder, and a self-contained checkpoint holds it. Save with "
                "include_backbones=False, or load the model with its encoder."
            )
        if not include_backbones:
            self._require_frozen()
            if state_dict is None:  # whoever gives one may hold the weights in shards, which are nobody's samples
                self._require_unchanged()
        for config, part in ((self.config.vision_config, self.encoder), (self.config.text_config, self.language_model)):
            if config is not None and part is not None:
                config.dtype = part.dtype  # where it was moved to another since it was loaded
        contents, self.config.checkpoint_contents = (
            self.config.checkpoint_contents,
            "full" if include_backbones else "projector",
        )
        try:
            super().save_pretrained(directory, state_dict=state_dict, **kwargs)
        finally:
            self.config.checkpoint_contents = contents
        if include_backbones and not self.holds_adapter:
            if self.encoder is not None and not self.config.trained_encoder:
                self.encoder.save_pretrained(directory / ENCODER_FOLDER)
            savable(self.language_model).save_pretrained(directory / LANGUAGE_MODEL_FOLDER)
        self.write_card(directory, complete=include_backbones)
        if push_to_hub:
            self._share_saved(directory, **hub)

    def card_facts(self) -> dict[str, Any]:
        """What `write_model_card` is told of the model itself."""
        learned = {"encoder": self.config.trained_encoder, "adapters": self.config.adapter_downsample is not None}
        return {
            "backbones": self.config.backbones or {},
            "trained": [part for part, learns in learned.items() if learns],
        }

    def add_adapter(self, adapter_config: Any, adapter_name: str | None = None) -> None:
        """Refuses an adapter that would freeze the projection and leave it out of what is saved.

        Raises:
            ProjectionError: `modules_to_save` does not name the projector.
        """
        if "projector" not in (getattr(adapter_config, "modules_to_save", None) or []):
            raise ProjectionError(
                "This adapter would freeze the projection and save without it. Name it in the configuration: "
                f"{type(adapter_config).__name__}(..., modules_to_save=['projector']), and prefer "
                "peft.get_peft_model(model, config), which saves both."
            )
        super().add_adapter(adapter_config, adapter_name)

    def _require_frozen(self) -> None:
        """A checkpoint of the projection alone would lose what else learns; an adapter is saved by itself."""
        if self.holds_adapter:
            return
        for name in ("encoder", "language_model"):
            part = getattr(self, name)
            if name == "encoder" and self.config.trained_encoder:
                continue
            learning = 0 if part is None else sum(weight.requires_grad for weight in part.parameters())
            if learning:
                raise ConfigurationError(
                    f"{learning} weights of the {name} learn, and a checkpoint of the projection alone would lose "
                    "them. Save with include_backbones=True, or freeze them: "
                    f"model.{name}.requires_grad_(False)."
                )

    def _require_unchanged(self) -> None:
        """A checkpoint of the projection alone names the frozen parts, so they must be what was loaded by that name."""
        if self.holds_adapter:
            return
        for name, as_loaded in self._as_loaded.items():
            record = (self.config.backbones or {}).get(name)
            if record and not is_the_same(as_loaded, samples_of(getattr(self, name))):
                raise ConfigurationError(
                    f"The {name} is no longer the one recorded: its weights have changed since {record['name']!r} was "
                    "loaded, and a checkpoint of the projection alone would lose that. Save with "
                    "include_backbones=True."
                )

    def _remember_frozen(self) -> Self:
        """Takes down what the frozen parts hold now, for `_require_unchanged`."""
        encoder = None if self.config.trained_encoder else self.encoder
        parts = {"encoder": encoder, "language_model": self.language_model}
        self._as_loaded = {name: samples_of(part) for name, part in parts.items() if part is not None}
        return self

    def _beside_language_model(self) -> Self:
        """Puts encoder and projection on the device where the language model takes its input."""
        device = next(self.get_input_embeddings().parameters()).device
        for part in (self.encoder, self.projector):
            if part is not None:
                nn.Module.to(part, device)
        device_map = getattr(self.language_model, "hf_device_map", None)
        if device_map is not None:
            self.hf_device_map = {f"language_model.{name}".rstrip("."): place for name, place in device_map.items()}
        return self


def _image_token_id(
    tokenizer: PreTrainedTokenizerBase | None, language_name: str | None, **arguments: Any
) -> int | None:
    """The id of `<image>` in the tokenizer, or the one it would get; None where there is no tokenizer to ask."""
    if tokenizer is None:
        if language_name is None:
            return None
        try:
            tokenizer = language.load_tokenizer(language_name, **arguments)
        except BackboneError:  # a directory of weights alone: the configuration takes the first id past the vocabulary
            return None
    return tokenizer.get_vocab().get(IMAGE_TOKEN, len(tokenizer))
