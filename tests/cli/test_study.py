"""`linmap study`: real tiny models, each table beside its control, each photo encoded once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from linmap.evaluation import caption_metrics, derangement

from .conftest import CAPTIONS

MEMORY = ["a dog runs", "two men on bicycles", "a woman walks", "people in a street", "a red car", "a cat sleeps"]
SIMPLE = ("--tokenizer", "simple", "--device", "cpu")
WAYS = ["PD (tau 0.01)", "NND", "CLIPRe", "VD"]


@pytest.fixture(scope="module")
def decap_dir(
    tmp_path_factory: pytest.TempPathFactory, dual_dir: Path, tiny_tokenizer: Callable[..., object]
) -> Callable[..., Path]:
    """`decap_dir(seed=0, memory=[...], tower=dual_dir)`: a DeCap model of random weights with a memory."""
    from transformers import GPT2Config

    from linmap import DeCapModel, DeCapProcessor, SupportMemory
    from linmap.dual.embedding import embed_texts
    from linmap.dual.named import load_dual_encoder

    made: dict[object, Path] = {}

    def make(seed: int = 0, memory: tuple[str, ...] | None = tuple(MEMORY), tower: Path = dual_dir) -> Path:
        if (seed, memory, tower) not in made:
            tokenizer = tiny_tokenizer()
            dual = load_dual_encoder(str(tower))
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                model = DeCapModel.from_backbones(
                    str(tower), GPT2Config(n_layer=1, n_embd=16, n_head=2, n_positions=64), tokenizer=tokenizer
                )
            if memory:
                latents = embed_texts(*dual, list(memory))
                model.memory = SupportMemory.from_latents(
                    latents, list(memory), text_tower=dual.model.text_fingerprint()
                )
            model.generation_config.max_new_tokens = 5
            folder = tmp_path_factory.mktemp("decap")
            model.save_pretrained(folder)
            DeCapProcessor.for_model(model, tokenizer).save_pretrained(folder)
            made[seed, memory, tower] = folder
        return made[seed, memory, tower]

    return make


@pytest.fixture(scope="module")
def other_dual_dir(tmp_path_factory: pytest.TempPathFactory, dual_dir: Path) -> Path:
    """The same architecture with other heads: another space of the same width."""
    from linmap import DualEncoderModel, DualEncoderProcessor

    model = DualEncoderModel.from_pretrained(dual_dir)
    with torch.no_grad():
        model.text_projection.weight.add_(1.0)
    folder = tmp_path_factory.mktemp("other-dual")
    model.save_pretrained(folder)
    DualEncoderProcessor.from_pretrained(dual_dir).save_pretrained(folder)
    return folder


@pytest.fixture
def study(linmap, captions, photos):
    def run(which: str, *more: object):
        return linmap("study", which, "--data", captions, "--images", photos, *SIMPLE, *more)

    return run


@pytest.fixture
def count_encoded(monkeypatch) -> list[int]:
    """How many photos went through a dual encoder, batch by batch."""
    from linmap import DeCapModel

    counted: list[int] = []
    own = DeCapModel.encode_images

    def counting(self, pixel_values):
        counted.append(len(pixel_values))
        return own(self, pixel_values)

    monkeypatch.setattr(DeCapModel, "encode_images", counting)
    return counted


# ---------------------------------------------------------------------------------------------------------------------
# strategies


def test_every_strategy_has_every_metric_and_the_control_is_last(study, decap_dir, captions):
    ran = study("strategies", "--decap", decap_dir(), "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("\n") == 1
    report = json.loads(ran.out)
    assert [row["row"] for row in report["rows"]] == WAYS
    metrics = {"CIDEr-D", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"}
    assert all(row["metrics"].keys() == metrics for row in report["rows"])
    assert report["control"]["kind"] == "blind"
    assert report["control"]["of"] == "PD (tau 0.01)"
    assert report["control"]["metrics"].keys() == metrics
    assert (report["data"], report["photos"], report["tokenizer"], report["comparable"]) == (
        str(captions),
        3,
        "simple",
        False,
    )


def test_cliprec_gives_captions_of_the_memory_as_they_stand(study, decap_dir, photos):
    from linmap import DeCapModel, DeCapProcessor
    from linmap.decap.captioning import caption_photos

    folder = decap_dir()
    model, processor = DeCapModel.from_pretrained(folder), DeCapProcessor.from_pretrained(folder)
    answers = caption_photos(model, processor, [photos / name for name in CAPTIONS], strategy="retrieval")
    scores = caption_metrics([answer.caption for answer in answers], list(CAPTIONS.values()), "simple")
    report = json.loads(study("strategies", "--decap", folder, "--json").out)
    row = next(row for row in report["rows"] if row["strategy"] == "retrieval")
    assert row["metrics"] == {name: round(value, 2) for name, value in scores.items()}


def test_the_captions_are_those_of_linmap_decap(study, decap_dir, photos):
    from linmap import DeCapModel, DeCapProcessor
    from linmap.decap.captioning import caption_photos

    folder = decap_dir()
    model, processor = DeCapModel.from_pretrained(folder), DeCapProcessor.from_pretrained(folder)
    report = json.loads(study("strategies", "--decap", folder, "--json", "--tau", "0.05").out)
    files = [photos / name for name in CAPTIONS]
    for row in report["rows"]:
        answers = caption_photos(model, processor, files, strategy=row["strategy"], tau=row["tau"])
        scores = caption_metrics([answer.caption for answer in answers], list(CAPTIONS.values()), "simple")
        assert row["metrics"] == {name: round(value, 2) for name, value in scores.items()}
    blind = [answer.caption for answer in caption_photos(model, processor, files, strategy="projection", tau=0.05)]
    scores = caption_metrics([blind[other] for other in derangement(3, 0)], list(CAPTIONS.values()), "simple")
    assert report["control"]["metrics"] == {name: round(value, 2) for name, value in scores.items()}


def test_photos_are_encoded_once_for_all_strategies_and_temperatures(study, decap_dir, count_encoded):
    ran = study("strategies", "--decap", decap_dir(), "--tau", "0.01,0.02,0.05", "--json")
    assert [row["tau"] for row in json.loads(ran.out)["rows"]] == [0.01, 0.02, 0.05, None, None, None]
    assert sum(count_encoded) == 3


def test_several_memories_stand_side_by_side(study, decap_dir, tmp_path):
    from linmap import SupportMemory

    folder = decap_dir()
    memory = SupportMemory.from_pretrained(folder / "memory")
    memory.save_pretrained(tmp_path / "all")
    memory.sample(2).save_pretrained(tmp_path / "two")
    ran = study("strategies", "--decap", folder, "--memory", tmp_path / "all", "--memory", tmp_path / "two", "--json")
    rows = json.loads(ran.out)["rows"]
    assert [(row["strategy"], row["captions"]) for row in rows] == [
        ("projection", 6),
        ("nearest", 6),
        ("retrieval", 6),
        ("projection", 2),
        ("nearest", 2),
        ("retrieval", 2),
        ("visual", None),
    ]


def test_people_read_where_how_and_beside_what(study, decap_dir, tmp_path):
    plot = tmp_path / "strategies.png"
    folder = decap_dir()
    lines = study("strategies", "--decap", folder, "--split", "val", "--plot", plot).out.splitlines()
    assert lines[0].startswith(f"{folder}: 2 photos of ")
    assert lines[0].endswith("split val; memory its own: 6 captions")
    assert [line.split()[0] for line in lines if "." in line][1:6] == ["PD", "NND", "CLIPRe", "VD", "blind"]
    assert "blind: PD (tau 0.01) with the photos shuffled (seed 0)" in "\n".join(lines)
    assert any("tokenizer: simple, not comparable" in line and "METEOR needs Java" in line for line in lines)
    assert any(line.startswith("command: linmap study strategies --data ") for line in lines)
    assert lines[-1] == f"plot: {plot}"
    with Image.open(plot) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--tau", "0.01,hot"], "--tau: 'hot' is no number above 0; the paper's is 0.01"),
        (["--tau", "0"], "--tau: '0' is no number above 0"),
        (["--limit", "2", "--split", "test"], "Unknown split 'test'"),
        (["--device", "abacus"], "Unknown device 'abacus'"),
        (["--memory", "nowhere"], "No checkpoint at 'nowhere'"),
    ],
)
def test_what_cannot_be_measured_is_one_line(study, decap_dir, words, error):
    ran = study("strategies", "--decap", decap_dir(), *words)
    assert (ran.code, ran.out) == (2, "")
    assert error in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("which", ["strategies", "memory-size", "domains"])
def test_a_model_without_a_memory_is_named_and_what_gives_it_one(study, decap_dir, which):
    without = decap_dir(memory=None)
    ran = study(which, "--decap", without, *(["--decap", decap_dir()] if which == "domains" else []))
    assert (ran.code, ran.out) == (2, "")
    assert f"{without} holds no support memory, which PD, NND and CLIPRe ask. linmap memory build" in ran.err
    assert "--memory DIR" in ran.err


def test_another_kind_of_model_is_named(study, dual_dir):
    ran = study("strategies", "--decap", dual_dir)
    assert ran.code == 2
    assert "holds a model of type 'dual_encoder', which compares photos with texts" in ran.err


def test_a_model_without_its_dual_encoder_cannot_see_photos(study, tmp_path, tiny_tokenizer):
    from transformers import GPT2Config

    from linmap import DeCapModel, DeCapProcessor

    tokenizer = tiny_tokenizer()
    decoder = GPT2Config(n_layer=1, n_embd=16, n_head=2)
    model = DeCapModel.from_backbones(None, decoder, latent_dim=6, tokenizer=tokenizer)
    model.save_pretrained(tmp_path / "latents")
    DeCapProcessor.for_model(model, tokenizer).save_pretrained(tmp_path / "latents")
    ran = study("strategies", "--decap", tmp_path / "latents")
    assert (ran.code, ran.out) == (2, "")
    assert "holds no image encoder: it takes latents, not photos" in ran.err


def test_a_memory_of_another_text_tower_is_refused(study, decap_dir, other_dual_dir):
    ran = study("strategies", "--decap", decap_dir(), "--memory", decap_dir(tower=other_dual_dir) / "memory")
    assert (ran.code, ran.out) == (2, "")
    assert "their cosines would mean nothing" in ran.err


# ---------------------------------------------------------------------------------------------------------------------
# memory-size


def test_sizes_of_the_memory_have_a_mean_and_every_draw(study, decap_dir, count_encoded, tmp_path):
    plot = tmp_path / "sizes.png"
    ran = study("memory-size", "--decap", decap_dir(), "--sizes", "1,3,all", "--seeds", 2, "--json", "--plot", plot)
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert [(row["size"], len(row["PD"]["draws"])) for row in report["rows"]] == [(1, 2), (3, 2), (6, 1)]
    assert list(report["rows"][0]) == ["size", "PD", "CLIPRe", "blind"]
    assert report["plots"] == [str(plot)]
    assert sum(count_encoded) == 3


def test_the_whole_memory_scores_as_in_the_table_of_strategies(study, decap_dir):
    folder = decap_dir()
    (row,) = json.loads(study("memory-size", "--decap", folder, "--sizes", "all", "--json").out)["rows"]
    report = json.loads(study("strategies", "--decap", folder, "--json").out)
    scores = {one["strategy"]: one["metrics"]["CIDEr-D"] for one in report["rows"]}
    assert row["PD"]["mean"] == scores["projection"]
    assert row["CLIPRe"]["mean"] == scores["retrieval"]
    assert row["blind"]["mean"] == report["control"]["metrics"]["CIDEr-D"]


def test_of_the_default_sizes_those_are_measured_that_the_memory_has(study, decap_dir):
    ran = study("memory-size", "--decap", decap_dir(), "--json")
    assert (ran.code, ran.err) == (0, "")
    assert [row["size"] for row in json.loads(ran.out)["rows"]] == [6]


def test_the_table_of_one_metric_says_nothing_of_others(study, decap_dir):
    assert "METEOR" not in study("memory-size", "--decap", decap_dir(), "--sizes", "all").out
    assert "METEOR needs Java and is left out" in study("strategies", "--decap", decap_dir()).out


def test_the_table_of_sizes_names_its_command(study, decap_dir):
    out = study("memory-size", "--decap", decap_dir(), "--sizes", "2,all", "--seeds", 2).out
    assert "captions in the memory" in out
    assert "command: linmap study memory-size " in out
    assert "--sizes 2,all --seeds 2" in out


@pytest.mark.parametrize(
    ("sizes", "error"),
    [
        ("2,many", "--sizes: 'many' is no whole number above 0, and not all"),
        ("7", "The size 7 cannot be drawn from 6; give sizes from 1 to 6"),
    ],
)
def test_sizes_that_cannot_be_drawn_are_one_line(study, decap_dir, sizes, error):
    ran = study("memory-size", "--decap", decap_dir(), "--sizes", sizes)
    assert (ran.code, ran.out) == (2, "")
    assert error in ran.err


# ---------------------------------------------------------------------------------------------------------------------
# domains


def test_each_decoder_is_measured_with_its_own_memory_and_the_others(study, decap_dir, count_encoded, tmp_path):
    first, second = decap_dir(), decap_dir(seed=1, memory=("a tall tree", "a red car"))
    plot = tmp_path / "domains.png"
    ran = study("domains", "--decap", first, "--decap", second, "--json", "--plot", plot)
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert [(row["decoder"], row["memory_of"], row["captions"]) for row in report["rows"]] == [
        (str(first), str(first), 6),
        (str(first), str(second), 2),
        (str(second), str(second), 2),
        (str(second), str(first), 6),
    ]
    assert all(row["cider_d"].keys() == {"PD", "NND", "CLIPRe", "VD", "blind"} for row in report["rows"])
    assert report["refused"] == []
    assert sum(count_encoded) == 3  # one dual encoder, so once for both
    assert plot.is_file()


def test_a_row_is_that_of_the_table_of_strategies(study, decap_dir):
    first, second = decap_dir(), decap_dir(seed=1, memory=("a tall tree", "a red car"))
    (_, row, *_) = json.loads(study("domains", "--decap", first, "--decap", second, "--json").out)["rows"]
    report = json.loads(study("strategies", "--decap", first, "--memory", second / "memory", "--json").out)
    assert row["cider_d"]["PD"] == report["rows"][0]["metrics"]["CIDEr-D"]


def test_memories_of_other_text_towers_are_named_and_not_mixed(study, decap_dir, other_dual_dir):
    first, second = decap_dir(), decap_dir(tower=other_dual_dir)
    report = json.loads(study("domains", "--decap", first, "--decap", second, "--json").out)
    assert [(row["decoder"], row["memory_of"]) for row in report["rows"]] == [
        (str(first), str(first)),
        (str(second), str(second)),
    ]
    assert len(report["refused"]) == 2
    assert f"not measured: {first} with the memory of {second}: " in report["refused"][0]


def test_one_model_has_nothing_to_stand_beside(study, decap_dir):
    ran = study("domains", "--decap", decap_dir())
    assert ran.code == 2
    assert "one model has nothing to stand beside; name at least two" in ran.err


# ---------------------------------------------------------------------------------------------------------------------
# text-size


@pytest.fixture
def recipe(tmp_path, dual_dir) -> Path:
    """A recipe of a moment: a decoder of one layer, forty texts."""
    nouns, verbs = ("dog", "cat", "man", "woman", "horse"), ("runs", "sleeps", "jumps", "eats")
    texts = [f"a {noun} {verb} {where}" for noun in nouns for verb in verbs for where in ("here", "there")]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    content = {
        "method": "decap",
        "description": "tiny",
        "source": "tests",
        "license": "other",
        "model": {
            "dual_encoder": str(dual_dir),
            "layers": 1,
            "heads": 2,
            "width": 16,
            "positions": 32,
            "vocabulary": 300,
        },
        "data": {"texts": [{"source": str(tmp_path / "texts.txt")}], "validation_share": 0.1},
        "training": {"epochs": 1, "batch_size": 8},
        "evaluation": {"max_new_tokens": 5},
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def text_study(linmap, recipe, captions, photos, *more):
    given = ("--data", captions, "--images", photos, "--output", recipe.parent / "runs", *SIMPLE)
    return linmap("study", "text-size", recipe, *given, *more)


def test_each_amount_of_text_is_a_run_that_is_not_trained_again(
    linmap, recipe, captions, photos, count_encoded, tmp_path
):
    plot = tmp_path / "texts.png"
    ran = text_study(linmap, recipe, captions, photos, "--sizes", "10,all", "--json", "--plot", plot)
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert [row["size"] for row in report["rows"]] == [10, 40]
    assert list(report["rows"][0]) == ["size", "PD", "VD", "CLIPRe", "blind"]
    assert sum(count_encoded) == 3
    assert plot.is_file()
    runs = recipe.parent / "runs"
    assert sorted(run.name for run in runs.iterdir()) == ["texts-10", "texts-40"]
    weights = {run: (run / "model.safetensors").stat().st_mtime_ns for run in runs.iterdir()}
    again = text_study(linmap, recipe, captions, photos, "--sizes", "10,all", "--json", "--plot", plot)
    assert json.loads(again.out)["rows"] == report["rows"]
    assert weights == {run: (run / "model.safetensors").stat().st_mtime_ns for run in runs.iterdir()}


def test_a_finished_run_of_another_recipe_is_not_taken_for_this_one(linmap, recipe, captions, photos):
    text_study(linmap, recipe, captions, photos, "--sizes", "10")
    ran = text_study(linmap, recipe, captions, photos, "--sizes", "10", "--set", "training.epochs=2")
    assert (ran.code, ran.out) == (2, "")
    assert "was started with other values of training.epochs" in ran.err


def test_one_memory_can_serve_all_sizes(linmap, recipe, captions, photos, decap_dir):
    memory = decap_dir() / "memory"
    rows = json.loads(
        text_study(linmap, recipe, captions, photos, "--sizes", "10,20", "--memory", memory, "--json").out
    )["rows"]
    assert rows[0]["CLIPRe"] == rows[1]["CLIPRe"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--sizes", "10,41"], "The size 41 cannot be drawn from 40"),
        (["--sizes", "some"], "--sizes: 'some' is no whole number above 0"),
    ],
)
def test_sizes_of_text_that_cannot_be_drawn_are_one_line(linmap, recipe, captions, photos, words, error):
    ran = text_study(linmap, recipe, captions, photos, *words)
    assert (ran.code, ran.out) == (2, "")
    assert error in ran.err
    assert not (recipe.parent / "runs").exists()


def test_all_counts_every_text_of_the_recipe_those_too_that_stand_there_twice(linmap, recipe, captions, photos):
    texts = recipe.parent / "texts.txt"
    texts.write_text(2 * f"{texts.read_text()}\n", encoding="utf-8")
    ran = text_study(linmap, recipe, captions, photos, "--sizes", "81")
    assert "The size 81 cannot be drawn from 80" in ran.err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--set", "memory=null"], "The recipe's memory is null, and PD and CLIPRe ask one"),
        (["--memory", "nowhere"], "No checkpoint at 'nowhere'"),
    ],
)
def test_a_memory_that_is_not_there_is_said_before_the_training(linmap, recipe, captions, photos, words, error):
    ran = text_study(linmap, recipe, captions, photos, "--sizes", "10", *words)
    assert (ran.code, ran.out) == (2, "")
    assert error in ran.err
    assert not (recipe.parent / "runs").exists()


def test_the_photos_of_the_recipe_are_as_many_as_it_says(linmap, recipe, captions, photos):
    content = json.loads(recipe.read_text(encoding="utf-8"))
    content["evaluation"]["photos"] = {
        **{"captions": str(captions), "images": str(photos), "split": None},
        **{"limit": 2, "tokenizer": "simple"},
    }
    recipe.write_text(json.dumps(content), encoding="utf-8")
    ran = linmap("study", "text-size", recipe, "--output", recipe.parent / "runs", "--sizes", "10", "--json", *SIMPLE)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["photos"] == 2


def test_a_recipe_of_another_method_is_named(linmap, captions, photos, tmp_path):
    ran = linmap("study", "text-size", "linear-dual", "--output", tmp_path / "runs", *SIMPLE)
    assert ran.code == 2
    assert "linear-dual trains no DeCap model; this study needs a recipe with method: decap" in ran.err


def test_without_photos_there_is_nothing_to_measure_on(linmap, recipe, captions, tmp_path):
    ran = linmap("study", "text-size", recipe, "--output", tmp_path / "runs", *SIMPLE)
    assert ran.code == 2
    assert "The recipe names no folder of captioned photos. Give --data and --images" in ran.err
    ran = linmap("study", "text-size", recipe, "--output", tmp_path / "runs", "--data", captions, *SIMPLE)
    assert "Give --data and --images together" in ran.err
