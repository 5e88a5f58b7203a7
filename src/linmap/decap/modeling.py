"""DeCap (arXiv 2303.03032): a latent, one linear layer, a prefix, and a decoder that turns it back into a sentence."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    GenerationMixin,
    PreTrainedModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils import ModelOutput

from linmap.decap.checkpoints import DeCapCheckpoints
from linmap.decap.configuration import DeCapConfig
from linmap.decap.memory import SupportMemory
from linmap.decap.strategies import SupportSentence, latents_to_decode, require_strategy, support_of
from linmap.dual.modeling import DualEncoderModel
from linmap.errors import ConfigurationError
from linmap.weights import Fingerprint

__all__ = ["DeCapGenerateOutput", "DeCapModel"]


@dataclass
class DeCapGenerateOutput(ModelOutput):
    """What `generate(..., return_support=True)` returns.

    Args:
        sequences: Ids of the captions, (photos * num_return_sequences, length); see `generate`.
        support: For each photo the captions of the memory behind what was decoded, the weightiest first.
    """

    sequences: Tensor | None = None
    support: list[list[SupportSentence]] | None = None


class DeCapModel(DeCapCheckpoints, GenerationMixin):
    """A decoder of text latents, learned from text alone, that captions photos through a support memory.

    A latent becomes `config.prefix_length` vectors in front of the text (section 3.2: one, a prefix language model).
    `projector` learns, and `decoder` with it unless `config.train_decoder` is False.

    Args:
        config: The latent space, the decoder, and how photos are brought into it.
        decoder: A causal language model, whole; built with random weights from the configuration if left out, as a
            decoder from scratch wants it.
        dual_encoder: Where latents come from, frozen; None for a model that is given latents only.
        memory: Captions and their latents, for photos.

    Example:
        >>> from transformers import GPT2Config
        >>> decoder = GPT2Config(n_layer=2, n_embd=16, n_head=2, vocab_size=50, bos_token_id=1, eos_token_id=1)
        >>> model = DeCapModel(DeCapConfig(text_config=decoder, latent_dim=6))
        >>> output = model(torch.randn(2, 6), input_ids=torch.tensor([[7, 8, 1], [9, 1, 1]]))
        >>> output.logits.shape  # the prefix predicts the first token
        torch.Size([2, 4, 50])
    """

    base_model_prefix = ""
    main_input_name = "latents"
    input_modalities = ["image", "text"]  # noqa: RUF012
    model_tags = ["linmap"]  # noqa: RUF012
    supports_gradient_checkpointing = False
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(
        self,
        config: DeCapConfig,
        decoder: PreTrainedModel | None = None,
        dual_encoder: DualEncoderModel | None = None,
        memory: SupportMemory | None = None,
    ) -> None:
        super().__init__(config)
        self.loss_type = "ForMaskedLM"  # Trainer counts the scored tokens on labels that are not shifted
        if decoder is None:
            decoder = AutoModelForCausalLM.from_config(copy.deepcopy(config.text_config))
        self.projector = nn.Linear(config.latent_dim, config.prefix_length * config.hidden_size)
        self.decoder = decoder
        self.dual_encoder = dual_encoder
        self._memory: SupportMemory | None = None
        self.memory = memory
        decoder.requires_grad_(config.train_decoder)
        if dual_encoder is not None:
            dual_encoder.requires_grad_(False).eval()
        # the setter of the composite wiped the copy's attention; the decoder itself was never touched
        config.text_config._attn_implementation = decoder.config._attn_implementation
        self.generation_config = copy.deepcopy(decoder.generation_config)
        self.post_init()
        not_learned = {key for key in self.state_dict() if not self._is_learned(key)}
        self._keys_to_ignore_on_save = not_learned | set(self.all_tied_weights_keys)  # a tied table is written once

    def _is_learned(self, key: str) -> bool:
        part, _, _ = key.partition(".")
        return part == "projector" or (part == "decoder" and self.config.train_decoder)

    def train(self, mode: bool = True) -> DeCapModel:
        """Sets the mode of what learns; frozen parts stay in eval mode."""
        super().train(mode)
        if self.dual_encoder is not None:
            self.dual_encoder.eval()
        if not any(weight.requires_grad for weight in self.decoder.parameters()):
            self.decoder.eval()
        return self

    @property
    def memory(self) -> SupportMemory | None:
        """The support memory; one of another width or another text tower is refused when it is set."""
        return self._memory

    @memory.setter
    def memory(self, memory: SupportMemory | None) -> None:
        if memory is not None:
            if memory.dim != self.config.latent_dim:
                raise ConfigurationError(
                    f"The memory holds latents of {memory.dim} channels, the decoder takes {self.config.latent_dim}. "
                    "Build one with the decoder's own text tower: linmap memory build."
                )
            if self.config.text_tower:
                memory.require_text_tower(Fingerprint.from_dict(self.config.text_tower))
        self._memory = memory

    def get_prefix(self, latents: Tensor) -> Tensor:
        """Projects latents into the decoder's input space.

        Args:
            latents: (batch, latent_dim); their length carries nothing, as they are normalised first.

        Returns:
            (batch, prefix_length, hidden).
        """
        if latents.ndim != 2 or latents.shape[1] != self.config.latent_dim:
            raise ConfigurationError(
                f"latents has shape {tuple(latents.shape)}; expected (batch, {self.config.latent_dim})."
            )
        weight = self.projector.weight
        latents = F.normalize(latents.to(weight.device, torch.float32), dim=-1)
        if self.training and self.config.latent_noise:
            latents = F.normalize(latents + self.config.latent_noise * torch.randn_like(latents), dim=-1)
        return self.projector(latents.to(weight.dtype)).unflatten(-1, (self.config.prefix_length, -1))

    def forward(
        self,
        latents: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Puts the prefix in front of the text and runs the decoder (section 3.2, equation 2).

        Args:
            latents: (batch, latent_dim) of the texts.
            input_ids: (batch, length) int64, the texts as `DeCapProcessor` gives them; None for the prefix alone.
            attention_mask: (batch, length), 0 on padding.
            labels: (batch, length) int64, in general the ids themselves, -100 where nothing is scored. The last vector
                of the prefix predicts the first of them; they are not shifted.
            **kwargs: Passed to the decoder.

        Returns:
            `loss` (nats per scored token, with `config.label_smoothing`; None without labels), `logits`
            (batch, prefix_length + length, vocabulary), `past_key_values` and what else the decoder was asked for.
        """
        if latents is None:
            raise ConfigurationError("Give latents, (batch, latent_dim), of a dual encoder.")
        num_items_in_batch = kwargs.pop("num_items_in_batch", None)
        embeds, mask = self._embed(latents, input_ids, attention_mask)
        if labels is not None and self.training:
            kwargs.setdefault("use_cache", False)
        outputs = self.decoder(inputs_embeds=embeds, attention_mask=mask, **kwargs)
        loss = None
        if labels is not None:
            loss = self._reconstruction_loss(outputs.logits, labels, num_items_in_batch)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=outputs.logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    @torch.no_grad()
    def encode_images(self, pixel_values: Tensor) -> Tensor:
        """The latents of photos, or of videos.

        Args:
            pixel_values: (photos, 3, height, width), or (videos, frames, 3, height, width) for the mean over a video's
                frames (section 4.4).

        Returns:
            (photos, latent_dim) float32, L2-normalised.
        """
        if self.dual_encoder is None:
            raise ConfigurationError(
                "This model holds no dual encoder, so it cannot take pixel_values. Give latents of shape "
                f"(photos, {self.config.latent_dim}), or load the model with its dual encoder."
            )
        if pixel_values.ndim == 5:
            frames = self.dual_encoder.get_image_features(pixel_values=pixel_values.flatten(0, 1))
            return F.normalize(frames.unflatten(0, pixel_values.shape[:2]).mean(1), dim=-1)
        return self.dual_encoder.get_image_features(pixel_values=pixel_values)

    def latents_to_decode(self, latents: Tensor, strategy: str | None = None, tau: float | None = None) -> Tensor:
        """Brings latents of photos among those of texts; see `linmap.decap.strategies`.

        Args:
            latents: (photos, latent_dim) from `encode_images`.
            strategy: `"projection"`, `"nearest"` or `"visual"`; None takes the configuration's.
            tau: Temperature of the projection; None takes the configuration's.

        Returns:
            (photos, latent_dim) float32, L2-normalised.
        """
        return latents_to_decode(latents, strategy or self.config.strategy, self.memory, self._tau(tau))

    @torch.no_grad()
    def generate(  # type: ignore[override]
        self,
        latents: Tensor | None = None,
        pixel_values: Tensor | None = None,
        *,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        strategy: str | None = None,
        tau: float | None = None,
        return_support: bool = False,
        num_support: int = 5,
        tokenizer: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Writes captions, with all that transformers' `generate` offers (beams, sampling, streamers, …).

        Args:
            latents: (batch, latent_dim). Without a `strategy` they are decoded as they stand, as those of texts; with
                one they are taken for those of photos.
            pixel_values: Instead of latents: see `encode_images`.
            input_ids: (batch, length) of a text to go on with, in place of nothing; padded on the left.
            attention_mask: (batch, length), 0 on padding.
            strategy: One of `linmap.decap.configuration.STRATEGIES`; None takes the configuration's, for photos.
            tau: Temperature of the projection; None takes the configuration's.
            return_support: Also return the captions of the memory behind each caption, with their weights.
            num_support: How many of them, at most.
            tokenizer: The decoder's; `"retrieval"` writes its captions with it.
            **kwargs: As in transformers.

        Returns:
            Ids of the captions alone, (batch * num_return_sequences, length), or with `return_dict_in_generate` what
            transformers returns then; with `return_support` that as `sequences` of a `DeCapGenerateOutput`.

        Raises:
            ConfigurationError: Neither or both of latents and pixel_values, no memory where one is asked, or `tau` or
                `return_support` without a strategy, which asks none.
            UnknownNameError: No such strategy.
        """
        if (latents is None) == (pixel_values is None):
            raise ConfigurationError("Give either latents or pixel_values, and not both.")
        if pixel_values is not None:
            latents = self.encode_images(pixel_values)
            strategy = strategy or self.config.strategy
        if strategy is None and (return_support or tau is not None):
            raise ConfigurationError(
                "Latents without a strategy are decoded as those of texts, and no memory is asked, so tau and "
                "return_support have no meaning. Give a strategy for latents of photos, such as strategy='projection'."
            )
        assert latents is not None  # one of the two was given
        latents = latents.to(self.projector.weight.device)
        decoded = latents
        support: list[list[SupportSentence]] = [[] for _ in latents]
        if strategy is not None:
            memory = require_strategy(strategy, self.memory)
            if return_support:
                support = support_of(latents, strategy, memory, self._tau(tau), num_support)
            if strategy == "retrieval":
                sequences = self._retrieved(latents, tokenizer)
                return DeCapGenerateOutput(sequences, support) if return_support else sequences
            decoded = latents_to_decode(latents, strategy, memory, self._tau(tau))
        embeds, mask = self._embed(decoded, input_ids, attention_mask)
        decoder: Any = self.decoder
        decoder.generation_config = self.generation_config
        written = decoder.generate(inputs_embeds=embeds, attention_mask=mask, tokenizer=tokenizer, **kwargs)
        return DeCapGenerateOutput(written, support) if return_support else written

    def get_input_embeddings(self) -> nn.Module:
        """The decoder's embedding table."""
        return self.decoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replaces the decoder's embedding table."""
        self.decoder.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The decoder's head."""
        return self.decoder.get_output_embeddings()

    def _tau(self, tau: float | None) -> float:
        return self.config.tau if tau is None else tau

    def _embed(self, latents: Tensor, input_ids: Tensor | None, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Prefix and text in the decoder's input space, (batch, prefix_length + length, hidden), and their mask."""
        prefix = self.get_prefix(latents)
        there = prefix.new_ones(prefix.shape[:2], dtype=torch.long)
        table = self.get_input_embeddings()
        if input_ids is None:
            return prefix.to(next(table.parameters()).dtype), there
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        words = table(input_ids.to(prefix.device))
        embeds = torch.cat([prefix.to(words.dtype), words], dim=1)
        return embeds, torch.cat([there, attention_mask.to(there)], dim=1)

    def _reconstruction_loss(self, logits: Tensor, labels: Tensor, num_items_in_batch: Any) -> Tensor:
        """Cross entropy of each token given the latent and the tokens before it, smoothed."""
        predictions = logits[:, self.config.prefix_length - 1 : -1].float().flatten(0, 1)
        targets = labels.to(logits.device).flatten()
        total = F.cross_entropy(
            predictions, targets, ignore_index=-100, label_smoothing=self.config.label_smoothing, reduction="sum"
        )
        count = (targets != -100).sum() if num_items_in_batch is None else num_items_in_batch
        return total / torch.as_tensor(count, device=total.device)  # Trainer counts on its own device

    def _retrieved(self, latents: Tensor, tokenizer: Any) -> Tensor:
        """The ids of the nearest captions, padded to the longest."""
        if tokenizer is None:
            raise ConfigurationError(
                "strategy='retrieval' gives captions of the memory as they stand, and their ids need the tokenizer: "
                "generate(..., tokenizer=processor.tokenizer). Without ids: model.memory.captions[index] of "
                "model.memory.nearest(latents)."
            )
        assert self.memory is not None  # the strategy has been checked
        captions = [self.memory.captions[index] for index in self.memory.nearest(latents).tolist()]
        return tokenizer(captions, padding=True, return_tensors="pt")["input_ids"].to(latents.device)


AutoModel.register(DeCapConfig, DeCapModel, exist_ok=True)
AutoModelForImageTextToText.register(DeCapConfig, DeCapModel, exist_ok=True)
