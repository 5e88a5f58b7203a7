"""What a training recipe of DeCap may say of its model: latent space and decoder."""

from __future__ import annotations

from dataclasses import dataclass

from linmap.errors import RecipeError
from linmap.recipes.ranges import above_zero, at_least, one_of, share
from linmap.recipes.sections import DTYPES

__all__ = ["CLIP", "STRATEGIES", "DeCapModelRecipe"]

CLIP = "clip"
SMALLEST_VOCABULARY = 258  # of linmap.decap.vocabulary: every byte, the padding and the end
STRATEGIES = ("projection", "nearest", "visual", "retrieval")


@dataclass(frozen=True, kw_only=True)
class DeCapModelRecipe:
    """The latent space and the decoder behind it.

    The decoder is either GPT-2 from scratch (`layers`, `heads`, `width`, `vocabulary`) or a pretrained language model
    (`language_model`).

    Args:
        dual_encoder: Where latents come from, frozen: `default`, `open_clip:NAME/TAG`, a folder, or a Hub id.
        layers: Of a decoder from scratch (the paper: 4).
        heads: Attention heads of each layer (the paper: 4).
        width: Channels of the decoder, a multiple of `heads` (the paper: 768).
        positions: Most tokens, prefix included, that a decoder from scratch can take; None takes GPT-2's 1024.
        vocabulary: Of a decoder from scratch: `clip` takes CLIP's byte pairs (the paper), a number learns as many
            byte pairs from the training text.
        lowercase: Whether a vocabulary that is learned reads and writes small letters alone.
        language_model: Instead: any causal language model, as `linmap.language.load_language_model` takes it.
        language_model_dtype: Number type of a frozen language model; what learns is float32.
        train_decoder: Whether the language model learns with the linear layer; a decoder from scratch always does.
        prefix_length: Vectors that a latent becomes in front of the text (the paper: 1).
        max_length: Tokens of a text that are learned (20 in the paper's code); a longer one is cut, and lacks its end.
        label_smoothing: Of the loss (0.1 in the paper's code).
        latent_noise: Standard deviation of the noise on each channel of a latent in training (CapDec, arXiv
            2211.00575); the paper has none.
        strategy: How the finished model captions photos: `projection`, `nearest`, `visual` or `retrieval`.
        tau: Temperature of the projection (0.01 in the paper's code).
    """

    dual_encoder: str = "default"
    layers: int | None = None
    heads: int | None = None
    width: int | None = None
    positions: int | None = None
    vocabulary: str | None = None
    lowercase: bool = False
    language_model: str | None = None
    language_model_dtype: str = "float32"
    train_decoder: bool = False
    prefix_length: int = 1
    max_length: int = 20
    label_smoothing: float = 0.1
    latent_noise: float = 0.0
    strategy: str = "projection"
    tau: float = 0.01

    def __post_init__(self) -> None:
        one_of("model.language_model_dtype", self.language_model_dtype, DTYPES)
        one_of("model.strategy", self.strategy, STRATEGIES)
        for name in ("layers", "heads", "width", "positions", "prefix_length", "max_length"):
            at_least(f"model.{name}", getattr(self, name), 1)
        at_least("model.latent_noise", self.latent_noise, 0.0)
        share("model.label_smoothing", self.label_smoothing)
        above_zero("model.tau", self.tau)
        if self.language_model is None:
            self._check_scratch()
        else:
            self._check_pretrained()

    @property
    def vocabulary_size(self) -> int | None:
        """Byte pairs to learn; None where none are learned."""
        return int(self.vocabulary) if self.vocabulary not in (None, CLIP) else None

    def _check_scratch(self) -> None:
        missing = [name for name in ("layers", "heads", "width", "vocabulary") if getattr(self, name) is None]
        if missing:
            raise RecipeError(
                f"model.{missing[0]} is missing: a decoder from scratch needs layers, heads, width and vocabulary. Say "
                "all four, or name a pretrained one as model.language_model."
            )
        assert self.heads  # checked just now, as are the next two
        assert self.width
        assert self.vocabulary
        if self.width % self.heads:
            raise RecipeError(f"model.width is {self.width}; it must be a multiple of model.heads, {self.heads}.")
        if self.vocabulary != CLIP:
            if not self.vocabulary.isdecimal():
                raise RecipeError(f"model.vocabulary is {self.vocabulary!r}; it must be 'clip' or a number of tokens.")
            at_least("model.vocabulary", int(self.vocabulary), SMALLEST_VOCABULARY)
        elif self.lowercase:
            raise RecipeError(
                "model.lowercase is for a vocabulary that is learned; 'clip' reads capitals as small letters by "
                "itself. Leave it out, or give model.vocabulary a number of tokens."
            )
        if self.language_model_dtype != "float32":
            raise RecipeError("model.language_model_dtype is for a language_model; a decoder from scratch is float32.")

    def _check_pretrained(self) -> None:
        of_scratch = ("layers", "heads", "width", "positions", "vocabulary")
        said = [name for name in of_scratch if getattr(self, name) is not None] + ["lowercase"] * self.lowercase
        if said:
            raise RecipeError(
                f"model.language_model and model.{said[0]} exclude each other: a pretrained decoder has its own. "
                f"Set model.{said[0]} to {'false' if said[0] == 'lowercase' else 'null'}, or language_model to null."
            )
        if self.train_decoder and self.language_model_dtype != "float32":
            raise RecipeError(
                f"model.language_model_dtype is {self.language_model_dtype}, and a decoder learns in float32. Set it "
                "to float32, or train_decoder to false."
            )
