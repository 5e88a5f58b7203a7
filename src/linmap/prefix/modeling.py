"""Linear vision prefix (LiMBeR, arXiv 2209.15162): frozen image encoder, one trained linear layer, frozen LM."""

from __future__ import annotations

import copy
import inspect
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    GenerationMixin,
    LogitsProcessorList,
    PreTrainedModel,
)
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutputWithPooling, CausalLMOutputWithPast
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from linmap import encoders
from linmap.errors import ConfigurationError
from linmap.prefix.adapters import behind_mlps
from linmap.prefix.checkpoints import PrefixCheckpoints
from linmap.prefix.configuration import LinearVisionPrefixConfig
from linmap.prefix.encoding import frozen_features
from linmap.prefix.learned import learned_prefixes
from linmap.prefix.placeholders import TextOnlyLogitsProcessors, without_placeholders
from linmap.prefix.splicing import place_prefix, pool_grid, positions_of, scored_positions

__all__ = ["LinearVisionPrefixModel"]

SCORED_AT_ONCE = 64  # positions whose probabilities are held in float32 at a time, in training


class LinearVisionPrefixModel(PrefixCheckpoints, GenerationMixin):
    """A frozen image encoder and a frozen causal language model, joined by one trained linear layer.

    An image becomes `config.num_image_tokens` vectors in the language model's input space (section 3 of the paper),
    which stand in the text where the processor left placeholders. Only `projector` learns; the paper's controls let the
    encoder learn with it (`config.trained_encoder`), and adapters in the language model (`config.adapter_downsample`).

    Args:
        config: What one image becomes, and the configurations of the frozen parts.
        encoder: The frozen encoder; built with random weights from the configuration if left out, as transformers
            does. `from_backbones` and `from_pretrained` give pretrained ones. False is none, whatever the configuration
            says.
        language_model: The frozen language model, whole, with its own head; likewise.

    Example:
        >>> from transformers import GPT2Config
        >>> text_config = GPT2Config(n_layer=2, n_embd=16, n_head=2, vocab_size=50)
        >>> config = LinearVisionPrefixConfig(text_config=text_config, feature_dim=6, num_image_tokens=4)
        >>> model = LinearVisionPrefixModel(config)
        >>> input_ids = torch.tensor([[config.image_token_id] * 4 + [7, 8]])
        >>> model(input_ids, image_features=torch.ones(1, 4, 6)).logits.shape
        torch.Size([1, 6, 50])
    """

    base_model_prefix = ""
    input_modalities = ["image", "text"]  # noqa: RUF012
    model_tags = ["linmap"]  # noqa: RUF012
    supports_gradient_checkpointing = False  # it would need the frozen language model in training mode
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(
        self,
        config: LinearVisionPrefixConfig,
        encoder: encoders.ImageEncoder | Literal[False] | None = None,
        language_model: PreTrainedModel | None = None,
    ) -> None:
        if config.num_image_tokens is None or config.feature_dim is None:
            raise ConfigurationError(
                f"feature_dim={config.feature_dim} and num_image_tokens={config.num_image_tokens}: both must be known. "
                "Give an encoder, or both numbers."
            )
        super().__init__(config)
        self.loss_type = "ForCausalLM"  # else Trainer counts the scored tokens on unshifted labels
        if encoder is None and config.vision_config is not None:
            encoder = encoders.ImageEncoder(config.vision_config)
        if language_model is None:
            language_model = AutoModelForCausalLM.from_config(copy.deepcopy(config.text_config))
        adapters = None
        if config.adapter_downsample is not None:
            language_model, adapters = behind_mlps(language_model, config.adapter_downsample)
        self.encoder = encoder or None
        self.language_model = language_model
        self.adapters = adapters
        vectors = config.prefix_length if config.features == "pooled" else 1
        self.projector = nn.Linear(config.feature_dim, vectors * config.hidden_size)
        self.dropout = nn.Dropout(config.projector_dropout)
        for frozen in self.frozen_parts():
            frozen.requires_grad_(False).eval()
        if config.trained_encoder and self.encoder is not None:
            nn.Module.float(self.encoder).requires_grad_(True)
        for part in (self.projector, self.adapters):
            for module in [] if part is None else part.modules():
                module._is_hf_initialized = True  # type: ignore[assignment]  # drawn as the papers' code draws them
        # the setter of the composite wiped the copy's attention; the language model itself was never touched
        config.text_config._attn_implementation = language_model.config._attn_implementation
        # Bloom and MPT have biases by distance in place of positions
        self._counts_positions = "position_ids" in inspect.signature(language_model.forward).parameters
        self._can_compile_fullgraph = language_model._can_compile_fullgraph
        self.generation_config = copy.deepcopy(language_model.generation_config)
        self.post_init()
        learned = learned_prefixes(config)
        self._keys_to_ignore_on_save = {key for key in self.state_dict() if not key.startswith(learned)}

    def frozen_parts(self) -> list[PreTrainedModel]:
        """The image encoder, if there is one that does not learn, and the language model."""
        encoder = None if self.config.trained_encoder else self.encoder
        return [part for part in (encoder, self.language_model) if part is not None]

    def train(self, mode: bool = True) -> LinearVisionPrefixModel:
        """Sets the mode of what learns; a part none of whose weights learn stays in eval mode."""
        super().train(mode)
        for part in self.frozen_parts():
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        return self

    def encode_images(self, pixel_values: Tensor) -> Tensor:
        """Runs the image encoder: the features that `image_features` accepts later, which are what is worth caching.

        Args:
            pixel_values: `(images, 3, height, width)` from the processor.

        Returns:
            `(images, cells, feature_dim)`; the grid is already averaged to `grid_size`, pooled features have one cell.
        """
        if self.encoder is None:
            raise ConfigurationError(
                "This model holds no image encoder, so it cannot take pixel_values. Give image_features of shape "
                f"(images, {self._cells}, {self.config.feature_dim}), or build the model with an encoder."
            )
        config = self.config
        return frozen_features(self.encoder, pixel_values, features=config.features, grid_size=config.grid_size)

    def get_image_features(
        self, pixel_values: Tensor | None = None, image_features: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Projects images into the language model's input space.

        Args:
            pixel_values: `(images, 3, height, width)`.
            image_features: Instead of pixels: `(images, cells, feature_dim)` from `encode_images`, or straight from
                the encoder's grid.
            **kwargs: Taken and not used, as transformers passes `return_dict`.

        Returns:
            `pooler_output` holds the prefix, `(images, num_image_tokens, hidden)`; `last_hidden_state` the features.
        """
        if (pixel_values is None) == (image_features is None):
            raise ConfigurationError("Give either pixel_values or image_features, and not both.")
        features = self.encode_images(pixel_values) if pixel_values is not None else self._cells_of(image_features)
        weight = next(self.projector.parameters())
        features = features.to(weight.device, weight.dtype)
        prefix = self.dropout(self.projector(features))
        prefix = prefix.reshape(len(features), self.config.num_image_tokens, self.config.hidden_size)
        return BaseModelOutputWithPooling(last_hidden_state=features, pooler_output=prefix)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Puts the prefix in its places and runs the language model.

        Args:
            input_ids: `(batch, sequence)` int64, `config.num_image_tokens` placeholders for each image.
            pixel_values: `(images, 3, height, width)`, all images of the batch in reading order.
            image_features: Instead of pixels: `(images, cells, feature_dim)`.
            attention_mask: `(batch, sequence)`, 0 on padding.
            position_ids: `(batch, sequence)`; by default counted from each row's first real token.
            past_key_values: Cache of earlier positions.
            inputs_embeds: `(batch, sequence, hidden)` instead of `input_ids`, the prefix already in it.
            labels: `(batch, sequence)` int64, -100 where nothing is scored. In training mode only the scored positions
                go through the language model's head, and `logits` is None.
            logits_to_keep: As in transformers' causal language models.
            mm_encoder_outputs: `{"image": get_image_features(…)}`, made beforehand (`generate` does so).
            **kwargs: Passed to the language model.

        Returns:
            `loss` (nats per scored token; None without labels), `logits` `(batch, kept positions, vocabulary)`,
            `past_key_values`, and what else the language model was asked for.

        Raises:
            ImageCountError: Placeholders and images do not match.
        """
        if inputs_embeds is None:
            inputs_embeds = self._embed(input_ids, pixel_values, image_features, mm_encoder_outputs)
        num_items_in_batch = kwargs.pop("num_items_in_batch", None)
        scored = None
        if labels is not None and self.training:
            scored = scored_positions(labels)
            logits_to_keep = scored.positions.to(inputs_embeds.device)
            kwargs.setdefault("use_cache", False)
        if position_ids is None and past_key_values is None and attention_mask is not None and attention_mask.ndim == 2:
            position_ids = positions_of(attention_mask)
        if position_ids is not None and self._counts_positions:
            kwargs["position_ids"] = position_ids
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )
        loss = None
        if scored is not None:
            loss = self._loss_of_scored(outputs.logits, scored.labels, num_items_in_batch)
        elif labels is not None:
            loss = self.loss_function(
                outputs.logits, labels, vocab_size=outputs.logits.shape[-1], num_items_in_batch=num_items_in_batch
            )
        return CausalLMOutputWithPast(
            loss=loss,
            logits=outputs.logits if scored is None else None,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    @torch.no_grad()
    def generate(self, *args: Any, image_features: Tensor | None = None, **kwargs: Any) -> Any:
        """`GenerationMixin.generate` that takes `image_features` wherever it takes `pixel_values`.

        Args:
            *args: As in transformers.
            image_features: `(images, cells, feature_dim)`.
            **kwargs: As in transformers, `mm_encoder_outputs` included, which is not changed.

        Returns:
            Ids of prompt and continuation, `(batch * num_return_sequences, sequence)`.
        """
        if image_features is not None:
            kwargs["mm_encoder_outputs"] = {"image": self.get_image_features(image_features=image_features)}
        elif kwargs.get("mm_encoder_outputs") is not None:
            # beams expand the features in place; whoever gave them may want to use them again
            kwargs["mm_encoder_outputs"] = {
                modality: copy.copy(outputs) for modality, outputs in kwargs["mm_encoder_outputs"].items()
            }
        return super().generate(*args, **kwargs)  # type: ignore[misc]

    def get_input_embeddings(self) -> nn.Module:
        """The language model's embedding table."""
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replaces the language model's embedding table."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The language model's head."""
        return self.language_model.get_output_embeddings()

    def resize_token_embeddings(  # type: ignore[override]
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Module:
        """Refuses to resize the vocabulary: new rows would be frozen, and missing from what is saved.

        Args:
            new_num_tokens: The size it has, or None, is no resizing.
            pad_to_multiple_of: As in transformers; refused.
            mean_resizing: As in transformers; of no effect.

        Returns:
            The language model's embedding table, as it was.

        Raises:
            ConfigurationError: Another size is asked for.
        """
        if new_num_tokens in (None, self._vocabulary) and pad_to_multiple_of is None:
            return self.get_input_embeddings()
        raise ConfigurationError(
            f"new_num_tokens={new_num_tokens}, pad_to_multiple_of={pad_to_multiple_of}: the vocabulary of "
            f"{self._vocabulary} tokens is never resized, since the language model is frozen and not saved with the "
            "projection. Resize the language model, save it, and give its folder to from_backbones."
        )

    def _loss_of_scored(self, logits: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None) -> Tensor:
        """The loss of the scored positions, a few at a time, each time forgetting their probabilities.

        A vocabulary of 50,000 in float32 takes 0.2 MB a position, once for the logits and again for their gradient.

        Args:
            logits: `(…, scored, vocabulary)`.
            labels: `(scored,)`, what they predict.
            num_items_in_batch: Positions scored in all batches of an optimiser step; None counts those given.
        """
        count = labels.numel() if num_items_in_batch is None else num_items_in_batch
        parts = zip(logits.flatten(0, -2).split(SCORED_AT_ONCE), labels.split(SCORED_AT_ONCE), strict=True)
        losses = [
            checkpoint(
                self.loss_function,
                part,
                targets,
                vocab_size=part.shape[-1],
                num_items_in_batch=count,
                shift_labels=targets,
                use_reentrant=False,
                preserve_rng_state=False,
            )
            for part, targets in parts
        ]
        return torch.stack(losses).sum()

    @property
    def _cells(self) -> int:
        return 1 if self.config.features == "pooled" else self.config.num_image_tokens

    @property
    def _vocabulary(self) -> int:
        return self.config.text_config.get_text_config(decoder=True).vocab_size

    def _cells_of(self, image_features: Any) -> Tensor:
        """Accepts features as `encode_images` gives them, or the encoder's whole grid, which is then averaged."""
        config = self.config
        if image_features.ndim == 3 and image_features.shape[2] == config.feature_dim:
            if image_features.shape[1] == self._cells:
                return image_features
            if config.grid_size is not None and config.vision_config is not None:
                height, width = config.vision_config.grid
                if image_features.shape[1] == height * width:
                    return pool_grid(image_features, (height, width), config.grid_size)
        raise ConfigurationError(
            f"image_features has shape {tuple(image_features.shape)}; expected (images, {self._cells}, "
            f"{config.feature_dim}): {self._cells} features of {config.feature_dim} channels for each image."
        )

    def _embed(
        self,
        input_ids: Tensor | None,
        pixel_values: Tensor | None,
        image_features: Tensor | None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None,
    ) -> Tensor:
        """Embeds the words and puts the prefix in the places kept for it."""
        if input_ids is None:
            raise ConfigurationError("Give input_ids or inputs_embeds.")
        placeholders = input_ids == self.config.image_token_id
        words = self.get_input_embeddings()(input_ids.masked_fill(placeholders, 0))
        images = (mm_encoder_outputs or {}).get("image")
        if images is None and (pixel_values is not None or image_features is not None):
            images = self.get_image_features(pixel_values, image_features)
        return place_prefix(words, placeholders, None if images is None else images.pooler_output)

    def _get_logits_processor(self, *args: Any, **kwargs: Any) -> LogitsProcessorList:
        if kwargs.get("encoder_input_ids") is not None:
            kwargs["encoder_input_ids"] = without_placeholders(
                kwargs["encoder_input_ids"], self.config.image_token_id, self._vocabulary
            )
        processors = super()._get_logits_processor(*args, **kwargs)  # type: ignore[misc]
        return TextOnlyLogitsProcessors(processors, self.config.image_token_id)


# Trainer smooths labels on shifted logits only for the names in this table
MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[LinearVisionPrefixConfig.model_type] = LinearVisionPrefixModel.__name__
for auto_class in (AutoModelForImageTextToText, AutoModelForMultimodalLM):
    auto_class.register(LinearVisionPrefixConfig, LinearVisionPrefixModel, exist_ok=True)
