"""What a checkpoint of a dual encoder holds: heads, temperature and the towers that learn; the others are named."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_NAME

from linmap import encoders, text_encoders
from linmap.dual import pretrained
from linmap.dual.configuration import DualEncoderConfig
from linmap.dual.reading import device_of, dtype_named, kind_of, tensors_in
from linmap.dual.towers import image_tower, text_tower
from linmap.errors import ConfigurationError, ProjectionError
from linmap.sharing import SharedModel, taken_for_hub
from linmap.weights.loading_arguments import loading_info, sorted_arguments
from linmap.weights.repositories import checkpoint_directory
from linmap.weights.samples import is_the_same, samples_of

__all__ = ["DualCheckpoints"]


class DualCheckpoints(SharedModel):
    """Making, loading, saving and sharing of `DualEncoderModel`, apart from its arithmetic."""

    config: DualEncoderConfig
    config_class = DualEncoderConfig
    image_encoder: encoders.ImageEncoder | None
    text_encoder: text_encoders.TextEncoder | None
    image_projection: nn.Linear | None
    text_projection: nn.Linear | None
    _as_loaded: Mapping[str, list[Tensor]] = {}

    @classmethod
    def from_backbones(
        cls,
        image_encoder: str | encoders.ImageEncoder | None,
        text_encoder: str | text_encoders.TextEncoder | None,
        *,
        projection_dim: int = 512,
        text_pooling: str | None = None,
        trained_towers: Sequence[str] = (),
        loss: str = "softmax",
        mirror: bool = False,
        image_dropout: float = 0.0,
        text_dropout: float = 0.0,
        mini_batch_size: int | None = None,
        image_feature_dim: int | None = None,
        text_feature_dim: int | None = None,
        image_encoder_kwargs: Mapping[str, Any] | None = None,
        text_encoder_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Joins any image encoder and any text encoder by two new, untrained heads.

        Args:
            image_encoder: `"timm:NAME[.TAG]"`, `"open_clip:NAME/TAG"`, `"hf:REPO_OR_DIR"`, `"wheel:NAME"`, a loaded
                `ImageEncoder`, or None for a model that takes `image_features` only.
            text_encoder: `"open_clip:NAME/TAG"`, `"hf:REPO_OR_DIR"`, `"wheel:NAME"`, a loaded `TextEncoder`, or None
                for a model that takes `text_features` only.
            projection_dim: Width of the shared space.
            text_pooling: Which vector stands for a text: `"mean"`, `"cls"`, `"eos"` or `"pooler"`; see
                `load_text_encoder`.
            trained_towers: See `DualEncoderConfig`, as for the next five.
            loss: As there.
            mirror: As there.
            image_dropout: As there.
            text_dropout: As there.
            mini_batch_size: As there.
            image_feature_dim: Needed without an image encoder.
            text_feature_dim: Needed without a text encoder.
            image_encoder_kwargs: Passed to `load_encoder` (`pretrained`, `seed`, `revision`, `dtype`, …).
            text_encoder_kwargs: Passed to `load_text_encoder`.

        Returns:
            The model in eval mode.

        Example:
            >>> from linmap import DualEncoderModel
            >>> random = {"pretrained": False, "seed": 0}
            >>> model = DualEncoderModel.from_backbones(
            ...     "timm:test_vit", "open_clip:ViT-B-32", image_encoder_kwargs=random, text_encoder_kwargs=random
            ... )
            >>> model.image_projection
            Linear(in_features=64, out_features=512, bias=False)
        """
        for encoder, arguments in ((image_encoder, image_encoder_kwargs), (text_encoder, text_encoder_kwargs)):
            if arguments and not isinstance(encoder, str):
                raise ConfigurationError(
                    f"{sorted(arguments)} say how an encoder is loaded, and this one is loaded already, or there is "
                    "none. Give its name, or leave them out."
                )
        if text_pooling is not None and not isinstance(text_encoder, str):
            raise ConfigurationError(
                f"text_pooling={text_pooling!r} says how a text encoder is loaded, and this one is loaded already, or "
                "there is none. Load it with load_text_encoder(..., pooling=...)."
            )
        backbones: dict[str, Any] = {}
        if isinstance(image_encoder, str):
            image_encoder = encoders.load_encoder(image_encoder, **(image_encoder_kwargs or {}))
        if isinstance(text_encoder, str):
            text_encoder = text_encoders.load_text_encoder(
                text_encoder, pooling=text_pooling, **(text_encoder_kwargs or {})
            )
        for part, encoder in (("image_encoder", image_encoder), ("text_encoder", text_encoder)):
            if encoder is not None and encoder.config.fingerprint:
                backbones[part] = encoder.fingerprint.to_dict()
        config = DualEncoderConfig(
            vision_config=None if image_encoder is None else copy.deepcopy(image_encoder.config),
            text_config=None if text_encoder is None else copy.deepcopy(text_encoder.config),
            image_feature_dim=image_feature_dim,
            text_feature_dim=text_feature_dim,
            projection_dim=projection_dim,
            mirror=mirror,
            image_dropout=image_dropout,
            text_dropout=text_dropout,
            trained_towers=list(trained_towers),
            loss=loss,
            mini_batch_size=mini_batch_size,
            backbones=backbones,
        )
        return cls(config, image_encoder, text_encoder)._remember_frozen().eval()

    @classmethod
    def from_open_clip(
        cls, name: str, *, model: nn.Module | None = None, trained_towers: Sequence[str] = (), **kwargs: Any
    ) -> Self:
        """A model of open_clip, with the same embeddings and logits.

        Where a tower ends in a plain matrix (its transformers do) that becomes our head; elsewhere (attention pooling
        of ResNets, SigLIP) the tower keeps its own and has no other.

        Args:
            name: `"ViT-B-32/openai"`: architecture and tag, as in `open_clip.create_model`.
            model: The model itself, where it is loaded already; `name` then says its architecture.
            trained_towers: See `DualEncoderConfig`.
            **kwargs: `pretrained=False` and `seed` for random weights, `revision` for those on the Hub.

        Raises:
            EncoderError: open_clip has no such model or weights.
            WeightsUnavailableError: They cannot be had here.
        """
        return cls._from_pair(pretrained.open_clip_pair(name, model, **kwargs), trained_towers)

    @classmethod
    def from_transformers(
        cls,
        model: str | Path | PreTrainedModel,
        *,
        revision: str | None = None,
        trained_towers: Sequence[str] = (),
        **hub: Any,
    ) -> Self:
        """A CLIP or SigLIP model of transformers, with the same embeddings and logits.

        Args:
            model: Hub id, directory, or the model itself.
            revision: Commit, tag or branch on the Hub.
            trained_towers: See `DualEncoderConfig`.
            **hub: `token`, `cache_dir`, `force_download`, `local_files_only`.

        Raises:
            EncoderError: It is no model of two towers of that kind.
            WeightsUnavailableError: It cannot be had here, or lacks some of its weights.
        """
        return cls._from_pair(pretrained.transformers_pair(model, revision, **hub), trained_towers)

    @classmethod
    def _from_pair(cls, pair: pretrained.PretrainedPair, trained_towers: Sequence[str]) -> Self:
        backbones = {}
        for part, encoder in (("image_encoder", pair.image_encoder), ("text_encoder", pair.text_encoder)):
            if encoder.fingerprint.name:
                backbones[part] = encoder.fingerprint.to_dict()
        config = DualEncoderConfig(
            vision_config=copy.deepcopy(pair.image_encoder.config),
            text_config=copy.deepcopy(pair.text_encoder.config),
            projection_dim=pair.width,
            image_projection=pair.image_projection is not None,
            text_projection=pair.text_projection is not None,
            trained_towers=list(trained_towers),
            loss="softmax" if pair.logit_bias is None else "sigmoid",
            logit_scale_init_value=float(pair.logit_scale),
            logit_bias_init_value=None if pair.logit_bias is None else float(pair.logit_bias),
            backbones=backbones,
        )
        model = cls(config, pair.image_encoder, pair.text_encoder)
        with torch.no_grad():
            for head, weight in (
                (model.image_projection, pair.image_projection),
                (model.text_projection, pair.text_projection),
            ):
                if head is not None and weight is not None:
                    head.weight.copy_(weight)
        return model._remember_frozen().eval()

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        config: DualEncoderConfig | None = None,
        image_encoder: str | encoders.ImageEncoder | None = None,
        text_encoder: str | text_encoders.TextEncoder | None = None,
        subfolder: str = "",
        dtype: torch.dtype | str | None = None,
        device_map: str | int | torch.device | Mapping[str, Any] | None = None,
        trust_remote_code: bool | None = None,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Loads what was learned from a directory or the Hub, and frozen towers from where its config names them.

        A CLIP or SigLIP model of transformers is taken as by `from_transformers`.

        Args:
            pretrained_model_name_or_path: Directory or Hub id.
            config: Instead of the checkpoint's own.
            image_encoder: The frozen image tower, where it is no longer found under its recorded name, or is loaded
                already.
            text_encoder: Likewise for texts.
            subfolder: Folder inside the repository or directory.
            dtype: Of the frozen towers; None or `"auto"` is the one they were saved with. What learns is float32.
            device_map: `"auto"` (the first accelerator, else the CPU), a device, or `{"": device}`.
            trust_remote_code: Taken as the Auto classes pass it; nothing from the network is executed.
            output_loading_info: Return `(model, info)` as transformers does; nothing is ever missing or mismatched.
            **kwargs: Hub arguments (`revision`, `token`, `cache_dir`, …) for the checkpoint.

        Raises:
            ProjectionError: What was learned is not there, or does not fit.
            BackboneError: A frozen tower cannot be found; it is never replaced by random weights.
            FingerprintMismatchError: A frozen tower is not the one the heads were trained with.
        """
        dtype = kwargs.pop("torch_dtype", dtype)
        named = "dtype, device_map, image_encoder, text_encoder"
        hub, _ = sorted_arguments(kwargs, named, needless=["attn_implementation"])
        kinds = () if config else (DualEncoderConfig.model_type, *pretrained.TWO_TOWERS)
        directory = checkpoint_directory(pretrained_model_name_or_path, kinds=kinds, subfolder=subfolder, **hub)
        asked = dtype_named(dtype)
        unexpected: set[str] = set()
        if config is None and kind_of(directory) in pretrained.TWO_TOWERS:
            if image_encoder is not None or text_encoder is not None:
                raise ConfigurationError(
                    f"{pretrained_model_name_or_path} is a whole model with both its towers; it takes no others. Join "
                    "towers with from_backbones."
                )
            local = Path(pretrained_model_name_or_path).is_dir()
            where = directory if local or subfolder else pretrained_model_name_or_path
            pinned = {**hub, "revision": directory.name, "force_download": False}  # the commit that was fetched
            pinned = {} if local or subfolder else pinned
            model = cls.from_transformers(str(where), **pinned)
        else:
            config = config or DualEncoderConfig.from_pretrained(directory)
            model = cls(
                config,
                image_tower(config, image_encoder, str(directory), asked),
                text_tower(config, text_encoder, str(directory), asked),
            )
            unexpected = model._load_learned(directory)
        for tower in model.frozen_towers().values():
            saved_in = dtype_named(tower.config.dtype)
            nn.Module.to(tower, asked or saved_in or tower.dtype)
        model.name_or_path = model.config.name_or_path = str(pretrained_model_name_or_path)
        if (place := device_of(device_map)) is not None:
            nn.Module.to(model, place)
        model._remember_frozen().eval()
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
        """Writes what was learned, the configuration and a model card.

        Args:
            save_directory: Made if it is not there.
            include_backbones: Write the frozen towers too; such a checkpoint needs nothing else. None does so for a
                model that was loaded from one.
            state_dict: Weights to save instead of the model's own, as Trainer passes them.
            push_to_hub: Upload the directory afterwards, to `repo_id` or the directory's name.
            **kwargs: As in transformers; `repo_id`, `private`, `token` and others of `push_to_hub` for the upload.

        Raises:
            ConfigurationError: A frozen tower has no name to find it by, learns, or is no longer the one it names.
        """
        directory = Path(save_directory)
        hub = taken_for_hub(kwargs)
        if include_backbones is None:
            include_backbones = self.config.checkpoint_contents == "full"
        if not include_backbones:
            self._require_named_and_frozen()
            if state_dict is None:  # whoever gives one may hold the weights in shards, which are nobody's samples
                self._require_unchanged()
        for config, tower in (
            (self.config.vision_config, self.image_encoder),
            (self.config.text_config, self.text_encoder),
        ):
            if config is not None and tower is not None:
                config.dtype = tower.dtype  # where it was moved to another since it was loaded
        if include_backbones:
            self._forget_digests_of_changed()
        contents, ignored = self.config.checkpoint_contents, self._keys_to_ignore_on_save
        self.config.checkpoint_contents = "full" if include_backbones else "learned"
        if include_backbones:
            self._keys_to_ignore_on_save = set()
        try:
            super().save_pretrained(directory, state_dict=state_dict, **kwargs)
        finally:
            self.config.checkpoint_contents, self._keys_to_ignore_on_save = contents, ignored
        self.write_card(directory, complete=include_backbones)
        if push_to_hub:
            self._share_saved(directory, **hub)

    def card_facts(self) -> dict[str, Any]:
        """What `write_model_card` is told of the model itself."""
        trained = [f"{tower}_encoder" for tower in self.config.trained_towers or []]
        return {"kind": self.config.model_type, "backbones": self.config.backbones or {}, "trained": trained}

    def frozen_towers(self) -> dict[str, PreTrainedModel]:
        """The towers that do not learn, under `"image_encoder"` and `"text_encoder"`."""
        towers = {"image": self.image_encoder, "text": self.text_encoder}
        learning = self.config.trained_towers or []
        return {f"{name}_encoder": tower for name, tower in towers.items() if tower and name not in learning}

    def _require_named_and_frozen(self) -> None:
        """A checkpoint of what was learned names the frozen towers, and would lose what they learn."""
        for part, tower in self.frozen_towers().items():
            learning = sum(weight.requires_grad for weight in tower.parameters())
            if learning:
                raise ConfigurationError(
                    f"{learning} weights of the {part} learn, and a checkpoint would lose them: trained_towers is "
                    f"{self.config.trained_towers}. Save with include_backbones=True, or build the model with "
                    f"trained_towers=[{part.removesuffix('_encoder')!r}]."
                )
            if part not in (self.config.backbones or {}):
                raise ConfigurationError(
                    f"Nothing says where the {part} came from, so a checkpoint without it could not be loaded again. "
                    "Save with include_backbones=True."
                )
            vision = self.config.vision_config if part == "image_encoder" else None
            if vision is not None and vision.library == "transformers" and not vision.preprocessing:
                raise ConfigurationError(
                    "The image encoder came without its image processor, and it is not found again without one. Save "
                    "the image processor beside its weights and load it again, or save with include_backbones=True."
                )

    def _require_unchanged(self) -> None:
        for part, as_loaded in self._as_loaded.items():
            tower = self.frozen_towers().get(part)
            if tower is not None and not is_the_same(as_loaded, samples_of(tower)):
                name = (self.config.backbones or {})[part]["name"]
                raise ConfigurationError(
                    f"The {part} is no longer the one recorded: its weights have changed since {name!r} was loaded, "
                    "and a checkpoint of what was learned alone would lose that. Save with include_backbones=True."
                )

    def _forget_digests_of_changed(self) -> None:
        """A tower that was changed since it was loaded is no longer the file whose digest its record has."""
        records = dict(self.config.backbones or {})
        for part, as_loaded in self._as_loaded.items():
            tower = self.frozen_towers().get(part)
            if part in records and tower is not None and not is_the_same(as_loaded, samples_of(tower)):
                records[part] = {**records[part], "sha256": None}
        self.config.backbones = records

    def _remember_frozen(self) -> Self:
        """Takes down what the frozen towers hold now, for `_require_unchanged`."""
        self._as_loaded = {part: samples_of(tower) for part, tower in self.frozen_towers().items()}
        return self

    def _load_learned(self, directory: Path) -> set[str]:
        """Fills what the checkpoint holds; returns the names of what else is in the file."""
        held = tensors_in(directory)
        if held is None:
            found = ", ".join(sorted(path.name for path in directory.iterdir())) or "nothing"
            raise ProjectionError(f"{directory} holds no {SAFE_WEIGHTS_NAME} with what was learned. Found: {found}.")
        ignored = set() if self.config.checkpoint_contents == "full" else (self._keys_to_ignore_on_save or set())
        own = {key: value for key, value in self.state_dict().items() if key not in ignored}
        wrong = sorted(key for key, value in own.items() if key not in held or held[key].shape != value.shape)
        if wrong:
            key = wrong[0]
            found = f"has the shape {tuple(held[key].shape)}" if key in held else "is missing"
            raise ProjectionError(
                f"What was learned, in {directory}, does not fit: {key} {found}, needed {tuple(own[key].shape)} "
                f"({len(wrong)} such weights). Use the towers it was trained with, or train it again."
            )
        self.load_state_dict({key: held[key] for key in own}, strict=False)
        return held.keys() - own.keys()
