from __future__ import annotations

import json
import os
import pickle
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from linmap import DeCapModel, DeCapProcessor, SupportMemory
from linmap.conversion import convert_decap, original_decap
from linmap.conversion.decap import decoder_config, renamed
from linmap.errors import ConversionError, EncoderError, OutputFolderError

VOCABULARY, CLIP_TOKENS, END = 50257, 49408, 49407
TINY = {"vocab_size": VOCABULARY, "n_positions": 64, "n_embd": 8, "n_layer": 2, "n_head": 4}


def originals(legacy: bool = False, **changes: Any) -> dict[str, Tensor]:
    """A state dict with the names and shapes of the original's, random weights in it."""
    decoder = GPT2LMHeadModel(GPT2Config(**{**TINY, **changes}))
    held = {f"decoder.{name}": weight for name, weight in decoder.state_dict().items()}
    for layer in range(TINY["n_layer"] if legacy else 0):
        mask = torch.ones(64, 64, dtype=torch.uint8).tril()[None, None]
        held[f"decoder.transformer.h.{layer}.attn.bias"] = mask
        held[f"decoder.transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    held["clip_project.model.0.weight"] = torch.randn(8, 512)
    held["clip_project.model.0.bias"] = torch.randn(8)
    return held


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """`coco_prefix-009.pt` and `decoder_config.json` of a tiny original."""
    checkpoint, config = tmp_path / "coco_prefix-009.pt", tmp_path / "decoder_config.json"
    torch.save(originals(), checkpoint)
    config.write_text(GPT2Config(**TINY).to_json_string(use_diff=False))
    return checkpoint, config


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    return shared / "reference" / "decap"


@pytest.fixture(scope="module")
def converted(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[DeCapModel, DeCapProcessor]:
    """The original's tiny trained model, converted, written and read again."""
    folder = tmp_path_factory.mktemp("decap")
    facts = json.loads((reference / "decap.json").read_text())["tiny_config"]
    (folder / "decoder_config.json").write_text(json.dumps(facts))
    checkpoint = reference / "tiny_trained_coco_prefix-009.pt"
    made = convert_decap(checkpoint, folder / "decoder_config.json", folder / "model")
    return DeCapModel.from_pretrained(made, dual_encoder=False), DeCapProcessor.from_pretrained(made)


def written(model: DeCapModel, latents: Tensor, **how: Any) -> list[list[int]]:
    """Greedy ids up to the end of each caption."""
    rows = model.generate(latents, **how).tolist()
    return [row[: row.index(END) + 1] if END in row else row for row in rows]


def recorded(ids: np.ndarray) -> list[list[int]]:
    return [[number for number in row if number >= 0] for row in ids.tolist()]


@pytest.mark.shared
def test_the_originals_decoder_writes_what_it_wrote_there(converted, reference):
    held = np.load(reference / "tiny_trained.npz")
    assert written(converted[0], torch.from_numpy(held["features"])) == recorded(held["greedy_ids"])


@pytest.mark.shared
def test_the_originals_texts_come_back(converted, reference):
    held = np.load(reference / "tiny_trained.npz")
    texts = json.loads((reference / "decap.json").read_text())["texts_trained"]
    plain = [text.replace("<|startoftext|>", "").replace("<|endoftext|>", "").strip() for text in texts]
    assert converted[1].caption(converted[0].generate(torch.from_numpy(held["features"]))) == plain


@pytest.mark.shared
@pytest.mark.parametrize(("strategy", "name"), [("projection", "projected"), ("nearest", "nnd"), ("visual", "vd")])
def test_the_originals_memory_leads_to_what_it_led_to_there(converted, reference, strategy, name):
    held = np.load(reference / "memory.npz")
    model = converted[0]
    latents = torch.from_numpy(held["memory_raw_fp16"]).float()
    model.memory = SupportMemory.from_latents(latents, [f"caption {row}" for row in range(len(latents))])
    photos = torch.from_numpy(held["image_features_raw"])
    assert written(model, photos, strategy=strategy) == recorded(held[f"greedy_{name}"])


@pytest.mark.shared
@pytest.mark.parametrize("layout", ["keys_now", "keys_legacy"])
def test_both_layouts_of_the_original_have_the_names_of_ours(converted, reference, layout):
    names = json.loads((reference / "tiny_state_keys.json").read_text())[layout]
    assert renamed({name: torch.zeros(1) for name in names}).keys() == converted[0].state_dict().keys()


@pytest.mark.shared
def test_the_originals_published_configuration_is_read(reference):
    config = decoder_config(reference / "decoder_config.json")
    assert (config.n_layer, config.n_head, config.n_embd, config.vocab_size) == (4, 4, 768, VOCABULARY)


@pytest.mark.parametrize("legacy", [False, True])
def test_every_weight_arrives_under_its_own_name(files, legacy):
    held = originals(legacy)
    torch.save(held, files[0])
    ours = original_decap(*files)[0].state_dict()
    assert torch.equal(ours["projector.weight"], held["clip_project.model.0.weight"])
    kept = [name for name in held if name.startswith("decoder.") and not name.endswith((".attn.bias", ".masked_bias"))]
    assert len(kept) + 2 == len(ours)
    assert all(torch.equal(ours[name], held[name]) for name in kept)


def test_half_precision_becomes_float32(files):
    torch.save({name: weight.half() for name, weight in originals().items()}, files[0])
    model = original_decap(*files)[0]
    assert {weight.dtype for weight in model.state_dict().values()} == {torch.float32}


def test_the_folder_says_all_that_decoding_needs(files, tmp_path, monkeypatch):
    def offline(*_: Any) -> None:
        raise AssertionError("conversion asked the network")

    monkeypatch.setattr(socket.socket, "connect", offline)
    folder = convert_decap(*files, tmp_path / "model")
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors", ".md"}
    model = DeCapModel.from_pretrained(folder, dual_encoder=False)
    processor = DeCapProcessor.from_pretrained(folder)
    generation = model.generation_config
    assert (generation.eos_token_id, generation.max_new_tokens) == (END, 30)
    assert generation.suppress_tokens == list(range(CLIP_TOKENS, VOCABULARY))
    assert (model.config.latent_dim, model.config.prefix_length, model.config.tau) == (512, 1, 0.01)
    assert model.config.backbones["dual_encoder"]["name"] == "open_clip:ViT-B-32/openai"
    assert (processor.max_length, len(processor.tokenizer)) == (20, CLIP_TOKENS)
    assert processor.image_processor.image_mean[0] == pytest.approx(0.48145466)  # CLIP's own
    long = processor(text=["a cat and " * 20], return_tensors="pt")
    assert long["input_ids"].shape == (1, 20)


def test_ids_that_clip_does_not_have_are_never_written(files):
    held = originals()
    held["decoder.transformer.wte.weight"][CLIP_TOKENS:] = 100 * torch.randn(VOCABULARY - CLIP_TOKENS, 8)
    held["decoder.lm_head.weight"] = held["decoder.transformer.wte.weight"]
    torch.save(held, files[0])
    model = original_decap(*files)[0]
    latents = torch.randn(4, 512)
    assert model(latents).logits[:, -1].argmax(-1).min() >= CLIP_TOKENS  # these would be written
    assert model.generate(latents).max() < CLIP_TOKENS


def test_the_pickled_configuration_is_refused_and_not_opened(files, tmp_path):
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "harm"),)

    for name in ("decoder_config.pkl", "decoder_config.json"):  # by its name, and by its first byte
        (tmp_path / name).write_bytes(pickle.dumps(Harm()))
        wanted = r"is a pickle, which can run any code, so it is never opened here\. .*pickle\.load\(open"
        with pytest.raises(ConversionError, match=wanted):
            original_decap(files[0], tmp_path / name)
    assert not (tmp_path / "harm").exists()


def test_code_in_the_checkpoint_is_refused_and_not_run(files, tmp_path):
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({**originals(), "x": Harm()}, files[0])
    with pytest.raises(ConversionError, match=r"009\.pt holds code beside its tensors, which is not run here\."):
        original_decap(*files)
    torch.save(GPT2LMHeadModel(GPT2Config(**{**TINY, "vocab_size": 10})), files[0])
    with pytest.raises(ConversionError, match="holds code beside its tensors"):
        original_decap(*files)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [b"", b"hello there", b"\x80\x02", b"PK\x03\x04 cut"])
def test_what_torch_did_not_write_is_refused(files, content):
    files[0].write_bytes(content)
    with pytest.raises(ConversionError, match=r"is no file that torch\.save wrote, or it is damaged or cut off;"):
        original_decap(*files)


def test_a_checkpoint_that_was_cut_off_is_refused(files):
    files[0].write_bytes(files[0].read_bytes()[: files[0].stat().st_size // 2])
    with pytest.raises(ConversionError, match=r"is no file that torch\.save wrote, or it is damaged or cut off;"):
        original_decap(*files)


def test_a_checkpoint_that_is_not_there_is_said_to_be(files, tmp_path):
    with pytest.raises(ConversionError, match=r"nowhere\.pt: there is no such file; check the path\."):
        original_decap(tmp_path / "nowhere.pt", files[1])
    with pytest.raises(ConversionError, match=r"nowhere\.json: it cannot be read \(No such file or directory\); check"):
        original_decap(files[0], tmp_path / "nowhere.json")


def test_what_is_no_state_dict_is_refused(files):
    for held, found in (
        ([torch.zeros(1)], "a list"),
        ({"model": originals(), "epoch": 9}, r"a dict of 2 entries \(mod"),
    ):
        torch.save(held, files[0])
        with pytest.raises(ConversionError, match=rf"holds no state dict, .*; found {found}"):
            original_decap(*files)


def test_another_models_state_dict_is_refused(files):
    torch.save({"fc.weight": torch.zeros(2, 2)}, files[0])
    wanted = r"holds no weight clip_project\.model\.0\.weight .* no checkpoint of DeCap\. Found: fc\.weight\."
    with pytest.raises(ConversionError, match=wanted):
        original_decap(*files)


def test_weights_that_are_missing_or_too_many_are_named(files):
    held = originals()
    held["clip_project.model.2.weight"] = held.pop("decoder.transformer.ln_f.bias")
    torch.save(held, files[0])
    wanted = r"It lacks decoder\.transformer\.ln_f\.bias\. It has in addition clip_project\.model\.2\.weight\."
    with pytest.raises(ConversionError, match=wanted):
        original_decap(*files)


def test_a_configuration_of_another_size_is_refused(files):
    files[1].write_text(json.dumps({**TINY, "n_layer": 4}))
    with pytest.raises(ConversionError, match=r"It lacks decoder\.transformer\.h\.2\.attn\.c_attn\.bias, .* 21 more\."):
        original_decap(*files)
    files[1].write_text(json.dumps({**TINY, "n_positions": 32}))
    wanted = r"decoder\.transformer\.wpe\.weight has the shape \(64, 8\), needed \(32, 8\)\. Give the configuration"
    with pytest.raises(ConversionError, match=wanted):
        original_decap(*files)


def test_a_head_that_is_not_the_table_it_is_said_to_be_is_refused(files):
    held = originals()
    held["decoder.lm_head.weight"] = held["decoder.lm_head.weight"] + 1
    torch.save(held, files[0])
    with pytest.raises(ConversionError, match=r"a head that differs from the embedding table, .*\(tie_word_emb"):
        original_decap(*files)
    files[1].write_text(json.dumps({**TINY, "tie_word_embeddings": False}))
    assert torch.equal(original_decap(*files)[0].decoder.lm_head.weight, held["decoder.lm_head.weight"])


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("{", r"is no JSON \(Expecting property name"),
        ("[]", "is not the configuration of a GPT-2: no n_head"),
        ('{"n_layer": 2}', "is not the configuration of a GPT-2: no n_head"),
        ('{"n_head": 2, "model_type": "llama"}', "is not the configuration of a GPT-2"),
        ('{"n_head": "two"}', "does not configure a GPT-2: .*n_head"),
        ('{"n_head": 4, "add_cross_attention": true}', "is of a decoder with cross-attention; DeCap's has none"),
    ],
)
def test_a_configuration_that_is_none_is_refused(files, content, wanted):
    files[1].write_text(content)
    with pytest.raises(ConversionError, match=wanted):
        original_decap(*files)


def test_a_vocabulary_smaller_than_clips_is_refused(files):
    torch.save(originals(vocab_size=100), files[0])
    files[1].write_text(json.dumps({**TINY, "vocab_size": 100}))
    with pytest.raises(ConversionError, match=r"the decoder has 100 classes; CLIP's tokenizer needs 49408\."):
        original_decap(*files)


def test_a_clip_of_another_width_is_refused(files):
    with pytest.raises(ConversionError, match=r"of 512 channels, and those of open_clip:ViT-L-14/openai have 768"):
        original_decap(*files, dual_encoder="open_clip:ViT-L-14/openai")
    with pytest.raises(EncoderError, match=r"no weights 'opnai' for 'ViT-B-32'"):
        original_decap(*files, dual_encoder="open_clip:ViT-B-32/opnai")


def test_a_folder_that_holds_something_is_left_alone(files, tmp_path):
    with pytest.raises(OutputFolderError, match=r"holds files already, which are not overwritten; choose another"):
        convert_decap(*files, tmp_path)
    with pytest.raises(OutputFolderError, match=r"009\.pt is a file; choose a folder to write the model to\."):
        convert_decap(*files, files[0])
