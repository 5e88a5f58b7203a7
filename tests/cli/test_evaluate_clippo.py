"""The dual encoders' measurements of CLIPPO: drawn texts, several models in one table, several languages."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from linmap.cli.dual_encoders import load_comparing
from linmap.cli.evaluate.pairs import embed_behind_random_encoder
from linmap.clippo.embedding import embed_photos, embed_texts
from linmap.evaluation import modality_gap, retrieval_recall

from .conftest import CAPTIONS

OWNERS = [0, 0, 1, 2, 2, 2]
SPOKEN = {
    "a.jpg": {"th": ["สุนัขสีน้ำตาลวิ่งอยู่บนสนามหญ้า"], "ar": ["كلب بني يركض على العشب"], "zh": ["一只棕色的狗在草地上奔跑"]},
    "b.png": {
        "th": ["ผู้ชายสองคนขี่จักรยาน"],
        "ar": ["رجلان يركبان الدراجات", "دراجتان في الشارع"],
        "zh": ["两个男人骑自行车"],
        "hi": ["दो आदमी साइकिल चलाते हैं"],
    },
    "c.jpg": {"th": ["ผู้หญิงเดินอยู่ในเมือง"], "zh": ["城里的一个女人"], "ar": ["امرأة تمشي في المدينة"]},
}


@pytest.fixture(scope="session")
def clippo_dir(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Callable[..., object]) -> Callable[..., Path]:
    """`clippo_dir("clippo")`: a tiny untrained model and its processor; also "1t-clip", "clip-star" and "own-head"."""
    from linmap import ClippoConfig, ClippoModel, ClippoProcessor

    sizes = {"image_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {"text_input": "tokens", "vocab_size": 320, "pad_token_id": 2, "max_text_tokens": 12}
    kinds = {
        "clippo": {},
        "own-head": {"text_head": "own"},
        "1t-clip": tokens,
        "clip-star": {**tokens, "text_tower": "own"},
    }
    made: dict[str, Path] = {}

    def make(kind: str = "clippo") -> Path:
        if kind not in made:
            config = ClippoConfig(**sizes, intermediate_size=64, projection_dim=16, **kinds[kind])
            with torch.random.fork_rng():
                torch.manual_seed(0)
                model = ClippoModel(config)
            made[kind] = tmp_path_factory.mktemp("models") / kind
            model.save_pretrained(made[kind])
            tokenizer = tiny_tokenizer() if config.reads_tokens else None
            ClippoProcessor.for_model(model, tokenizer).save_pretrained(made[kind])
        return made[kind]

    return make


@pytest.fixture
def evaluate(linmap, captions, photos):
    def run(what: str, *more: object, data: object = captions):
        given = ["--data", data, "--images", photos, "--device", "cpu"]
        return linmap("evaluate", what, *given, *more)

    return run


@pytest.fixture
def spoken(tmp_path) -> Path:
    path = tmp_path / "spoken.jsonl"
    lines = [json.dumps({"image": name, "captions": texts}, ensure_ascii=False) for name, texts in SPOKEN.items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def embedded(folder: Path, photos: Path):
    model = load_comparing(str(folder), "cpu")
    images = embed_photos(*model, [photos / name for name in CAPTIONS]).features
    return images, embed_texts(*model, [text for each in CAPTIONS.values() for text in each])


def assert_one_line(ran, *words: str) -> None:
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("linmap: error: ")
    assert ran.err.count("\n") == 1
    for each in words:
        assert each in ran.err


# ---------------------------------------------------------------------------------------------------------------------
# One model.


@pytest.mark.parametrize("kind", ["clippo", "own-head", "1t-clip", "clip-star"])
def test_recall_is_that_of_the_models_own_embeddings(evaluate, clippo_dir, photos, kind):
    report = json.loads(evaluate("retrieval", "--clippo", clippo_dir(kind), "--json").out)
    scores = retrieval_recall(*embedded(clippo_dir(kind), photos), OWNERS)
    assert report["text_to_image"] == {name: round(value, 2) for name, value in scores.text_to_image.items()}
    assert report["image_to_text"] == {name: round(value, 2) for name, value in scores.image_to_text.items()}
    assert report["model"] == str(clippo_dir(kind))


def test_a_clippo_folder_is_known_after_model_too(evaluate, clippo_dir):
    for what in ("retrieval", "gap"):
        ran = evaluate(what, "--clippo", clippo_dir(), "--json")
        assert ran.code == 0, ran.err
        assert evaluate(what, "--model", clippo_dir(), "--json").out == ran.out


def test_the_result_does_not_depend_on_the_batch_size(evaluate, clippo_dir):
    given = ("--clippo", clippo_dir(), "--json")
    assert evaluate("retrieval", *given, "--batch-size", 1).out == evaluate("retrieval", *given).out


def test_the_gap_is_that_of_the_models_own_embeddings(evaluate, clippo_dir, photos):
    report = json.loads(evaluate("gap", "--clippo", clippo_dir(), "--json").out)
    found = modality_gap(*embedded(clippo_dir(), photos), OWNERS)
    assert report["distance"] == round(found.distance, 4)
    assert report["separability"] == round(found.separability, 2)


def test_the_parameters_are_those_of_the_saved_weights(evaluate, clippo_dir):
    from safetensors import safe_open

    for kind in ("clippo", "clip-star"):
        with safe_open(clippo_dir(kind) / "model.safetensors", framework="pt") as weights:
            saved = sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118 - not a mapping
        report = json.loads(evaluate("gap", "--clippo", clippo_dir(kind), "--json").out)
        assert report["parameters"] == saved


def test_the_untrained_tower_is_of_the_same_shape_and_reads_the_photos_alone(clippo_dir, photos):
    comparing = load_comparing(str(clippo_dir()), "cpu")
    tower, files = comparing.model.tower, sorted(photos.iterdir())
    own = embed_photos(*comparing, files).features
    drawn = embed_behind_random_encoder(comparing, files, seed=1, batch_size=2)
    assert drawn.shape == own.shape
    assert not torch.allclose(drawn, own, atol=1e-3)
    assert torch.equal(drawn, embed_behind_random_encoder(comparing, files, seed=1, batch_size=2))
    assert comparing.model.tower is tower


@pytest.mark.parametrize("control", ["blind", "random-encoder"])
def test_a_control_stands_beside_the_model(evaluate, clippo_dir, control):
    report = json.loads(evaluate("retrieval", "--clippo", clippo_dir(), "--control", control, "--json").out)
    assert report["control_kind"] == control
    assert report["control"]["text_to_image"].keys() == report["text_to_image"].keys()


def test_classes_are_told_by_prompts_that_are_drawn(linmap, classes, clippo_dir):
    given = ("--images", classes(), "--templates", "plain", "--json", "--device", "cpu")
    ran = linmap("evaluate", "zero-shot", *given, "--clippo", clippo_dir())
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["classes"] == 2
    assert linmap("evaluate", "zero-shot", *given, "--model", clippo_dir()).out == ran.out


def test_a_probe_takes_the_pooled_features_and_fits_few_photos_in_two_ways(linmap, classes, clippo_dir):
    given = ("--images", classes(), "--templates", "plain", "--json", "--device", "cpu", "--clippo", clippo_dir())
    ran = linmap("evaluate", "probe", *given, "--shots", 2)
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert report["zero_shot"]["accuracy"] >= 0
    (row,) = report["shots"]
    assert (row["shots"], row["least_squares"]["shots"]) == (2, 2)
    assert len(row["least_squares"]["accuracies"]) == len(row["accuracies"]) == 3


def test_a_caption_can_be_scored_by_its_nearness_in_a_clippo_space(photos, clippo_dir):
    from linmap.cli.evaluate.caption_nearness import Nearness

    files = [photos / name for name in CAPTIONS]
    said = {"mine": ["a dog", "two men", "a woman"]}
    found = Nearness(str(clippo_dir()), "cpu")(["CLIPScore"], files, said, list(CAPTIONS.values()))
    ((name, scores),) = found["mine"].items()
    assert str(clippo_dir()) in name
    assert len(scores) == 3


# ---------------------------------------------------------------------------------------------------------------------
# Several models.


def test_several_models_are_measured_as_each_alone(evaluate, clippo_dir, dual_dir):
    words = ("--model", f"dual={dual_dir}", "--clippo", clippo_dir(), "--clippo", f"tokens={clippo_dir('1t-clip')}")
    report = json.loads(evaluate("retrieval", *words, "--json").out)
    assert [row["name"] for row in report["rows"]] == ["dual", "clippo", "tokens"]
    for row, folder in zip(report["rows"], (dual_dir, clippo_dir(), clippo_dir("1t-clip")), strict=True):
        alone = json.loads(evaluate("retrieval", "--model", folder, "--json").out)
        del alone["plots"]
        assert {name: row[name] for name in alone} == alone
    assert report["means"] == []


def test_the_gaps_of_several_models_are_one_table_and_one_picture(evaluate, clippo_dir, tmp_path):
    words = [word for kind in ("clippo", "own-head", "1t-clip", "clip-star") for word in ("--clippo", clippo_dir(kind))]
    plot = tmp_path / "gaps.png"
    ran = evaluate("gap", *words, "--plot", plot)
    assert ran.code == 0, ran.err
    assert "4 models" in ran.out
    for words_of_a_row in ("clippo", "own-head", "1t-clip", "clip-star", "parameters", "told apart"):
        assert words_of_a_row in ran.out
    with Image.open(plot) as picture:
        assert picture.width > 2 * picture.height
    report = json.loads(evaluate("gap", *words, "--json").out)
    alone = json.loads(evaluate("gap", "--clippo", clippo_dir("clip-star"), "--json").out)
    assert report["rows"][3]["distance"] == alone["distance"]


def test_people_read_one_row_a_model_with_chance_and_control_below(evaluate, clippo_dir, tmp_path):
    plot = tmp_path / "recall.png"
    words = ("--clippo", clippo_dir(), "--clippo", clippo_dir("1t-clip"), "--control", "blind", "--plot", plot)
    ran = evaluate("retrieval", *words)
    assert ran.code == 0, ran.err
    first = [line.split()[0] for line in ran.out.splitlines() if line.strip() and "─" not in line]
    assert [word for word in first if word in ("clippo", "1t-clip", "blind", "chance")] == [
        "clippo",
        "blind",
        "1t-clip",
        "blind",
        "chance",
    ]
    assert "every photo carries the embedding of another photo (seed 0)" in ran.out
    for file in (plot, tmp_path / "recall-image-to-text.png"):
        with Image.open(file) as picture:
            assert picture.format == "PNG"


def test_a_damaged_photo_is_left_out_of_all_models_alike_and_counted_once(evaluate, clippo_dir, photos):
    (photos / "b.png").write_text("no photo")
    words = ("--clippo", clippo_dir(), "--clippo", clippo_dir("1t-clip"), "--json", "--max-unreadable", 1)
    for what in ("retrieval", "gap"):
        rows = json.loads(evaluate(what, *words).out)["rows"]
        assert [(row["images"], row["texts"], row["left_out"]) for row in rows] == [(2, 5, 1)] * 2


# ---------------------------------------------------------------------------------------------------------------------
# Several languages.


def test_each_language_is_a_row_with_its_own_photos_and_chance(evaluate, clippo_dir, spoken, caplog):
    ran = evaluate("retrieval", "--clippo", clippo_dir(), "--json", data=spoken)
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert [(row["language"], row["images"], row["texts"]) for row in report["rows"]] == [
        ("th", 3, 3),
        ("ar", 3, 4),
        ("zh", 3, 3),
    ]
    assert "1 of 4 languages have fewer than two captioned photos and are left out: hi" in caplog.text
    (mean,) = report["means"]
    recalls = [row["text_to_image"]["R@1"] for row in report["rows"]]
    assert mean["text_to_image"]["R@1"] == pytest.approx(sum(recalls) / 3, abs=0.01)
    assert mean["languages"] == 3


def test_a_language_scores_what_it_scores_alone(evaluate, clippo_dir, spoken, captions):
    together = json.loads(evaluate("retrieval", "--clippo", clippo_dir(), "--json", data=spoken).out)["rows"][1]
    captions.write_text(json.dumps([{"file": name, "captions": texts["ar"]} for name, texts in SPOKEN.items()]))
    alone = json.loads(evaluate("retrieval", "--clippo", clippo_dir(), "--json").out)
    for name in ("text_to_image", "image_to_text", "chance", "median_rank", "overflow"):
        assert together[name] == alone[name]


def test_what_does_not_fit_is_told_for_each_language(evaluate, clippo_dir, spoken, caplog):
    with spoken.open("a", encoding="utf-8") as file:
        line = {"image": "a.jpg", "captions": {"th": ["สุนัข" * 40]}}
        file.write("\n" + json.dumps(line, ensure_ascii=False))
    words = ("--clippo", clippo_dir(), "--control", "random-encoder")
    rows = json.loads(evaluate("retrieval", *words, "--json", data=spoken).out)["rows"]
    lost = {row["language"]: row["overflow"] for row in rows}
    assert lost["zh"] == {"texts": 0, "characters": 0, "of": sum(len(each["zh"][0]) for each in SPOKEN.values())}
    assert lost["th"]["texts"] == 1
    assert 100 < lost["th"]["characters"] < 200
    assert "1 of 11 texts do not fit into 64 x 64 pixels" in caplog.text
    ran = evaluate("retrieval", *words, data=spoken)
    assert "texts cut" in ran.out
    assert "mean of 3" in ran.out
    assert "1 model, 3 languages" in ran.out


def test_what_a_tokenizer_cuts_is_counted_in_tokens(evaluate, clippo_dir):
    report = json.loads(evaluate("retrieval", "--clippo", clippo_dir("1t-clip"), "--json").out)
    assert report["overflow"].keys() == {"texts", "tokens", "of"}


def test_models_and_languages_cross(evaluate, clippo_dir, dual_dir, spoken, tmp_path):
    words = ("--clippo", clippo_dir(), "--model", dual_dir, "--plot", tmp_path / "plot.png")
    report = json.loads(evaluate("retrieval", *words, "--json", data=spoken).out)
    assert len(report["rows"]) == 6
    assert len(report["means"]) == 2
    assert len(report["plots"]) == 2
    assert len(json.loads(evaluate("gap", *words, "--json", data=spoken).out)["rows"]) == 6


# ---------------------------------------------------------------------------------------------------------------------
# What is refused.


def test_a_dual_encoder_is_no_clippo(evaluate, linmap, classes, dual_dir, clippo_dir):
    assert_one_line(evaluate("gap", "--clippo", dual_dir), f"--clippo {dual_dir} names no CLIPPO model")
    folder = classes()
    ran = linmap("evaluate", "zero-shot", "--images", folder, "--clippo", dual_dir)
    assert_one_line(ran, "names no CLIPPO model; give it as --model")
    ran = linmap("evaluate", "probe", "--images", folder, "--clippo", clippo_dir(), "--model", dual_dir)
    assert_one_line(ran, "--model and --clippo name one model each")


def test_two_models_of_one_name_are_refused(evaluate, clippo_dir, dual_dir):
    ran = evaluate("gap", "--clippo", f"same={clippo_dir()}", "--model", f"same={dual_dir}")
    assert_one_line(ran, "Two models are called 'same'")
    assert_one_line(evaluate("gap", "--clippo", "name="), "--model name= names no model")


def test_a_memory_is_not_built_in_a_space_without_an_identity(linmap, clippo_dir, tmp_path):
    (tmp_path / "texts.txt").write_text("a dog\na cat\n")
    ran = linmap("memory", "build", tmp_path / "texts.txt", "--model", clippo_dir(), "--output", tmp_path / "memory")
    assert_one_line(ran, "holds a model of type 'clippo'; this needs a dual encoder")


def test_a_captioner_is_asked_for_by_name(linmap, clippo_dir, photos, tmp_path):
    assert_one_line(
        linmap("caption", photos, "--model", clippo_dir()), "compares photos with texts and does not caption"
    )
    tuned = shutil.copytree(clippo_dir(), tmp_path / "tuned")
    _tuned(tuned)
    assert_one_line(
        linmap("caption", photos, "--model", tuned),
        "holds a ClippoForQuestionAnswering, which was tuned for one task and does not caption. Name a model of type",
    )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "processor_config.json").unlink(), "without its processor"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"short"), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is damaged"),
        (
            lambda folder: _without(folder, "projection.weight"),
            "is no ClippoModel: projection.weight",
        ),
        (lambda folder: _tuned(folder), "holds a ClippoForQuestionAnswering, which was tuned for one task"),
    ],
)
def test_a_damaged_model_is_one_line(evaluate, clippo_dir, tmp_path, damage, words):
    folder = shutil.copytree(clippo_dir(), tmp_path / "broken")
    damage(folder)
    assert_one_line(evaluate("retrieval", "--clippo", folder, "--json"), words)


def _without(folder: Path, name: str) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights[name]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _tuned(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["ClippoForQuestionAnswering"]
    (folder / "config.json").write_text(json.dumps(config))


def test_a_language_file_of_one_photo_has_nothing_to_tell_apart(evaluate, clippo_dir, spoken):
    spoken.write_text(spoken.read_text(encoding="utf-8").splitlines()[0], encoding="utf-8")
    assert_one_line(
        evaluate("retrieval", "--clippo", clippo_dir(), data=spoken), "With 1 captioned photos a language there is"
    )


def test_nothing_of_a_measurement_is_a_warning_where_all_fits(evaluate, clippo_dir, caplog):
    with caplog.at_level(logging.WARNING):
        assert evaluate("gap", "--clippo", clippo_dir(), "--json").err == ""
    assert "fit into" not in caplog.text
