"""`linmap evaluate caption --output`: several models, NoCaps' domains, and runs that go on after a kill."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest
from filelock import FileLock

from .conftest import photo

METRICS = "cider_d,bleu_4,rouge_l"
DEADLINE = 300  # seconds; a busy machine needs minutes to import torch
COUNT = 24


@pytest.fixture
def data(tmp_path):
    """NoCaps-like captions of many photos: half of them in-domain, one alone near-domain, the rest out-domain."""
    folder = tmp_path / "photos"
    folder.mkdir()
    images, annotations = [], []
    for number in range(COUNT):
        photo(number).save(folder / f"{number:02d}.png")
        domain = "near-domain" if number == 3 else ("in-domain" if number % 2 == 0 else "out-domain")
        images.append({"id": number, "file_name": f"{number:02d}.png", "domain": domain})
        annotations += [{"image_id": number, "caption": f"a dog runs over field {number} {end}"} for end in "xy"]
    (tmp_path / "nocaps.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return ["--data", tmp_path / "nocaps.json", "--images", folder]


@pytest.fixture
def other_dir(tmp_path, model_dir):
    """The same model with another projection."""
    import torch

    from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

    model = LinearVisionPrefixModel.from_pretrained(model_dir)
    torch.nn.init.normal_(model.projector.weight, std=1.0, generator=torch.Generator().manual_seed(0))
    model.save_pretrained(tmp_path / "other")
    LinearVisionPrefixProcessor.from_pretrained(model_dir).save_pretrained(tmp_path / "other")
    return tmp_path / "other"


@pytest.fixture
def evaluate(linmap, data, model_dir):
    def run(output, *more, model=model_dir):
        given = [*data, "--model", f"trained={model}", "--device", "cpu", "--tokenizer", "simple", "--metric", METRICS]
        return linmap("evaluate", "caption", *given, "--batch-size", 5, "--output", output, *more)

    return run


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def captions_in(path):
    return [json.loads(line)["caption"] for line in path.read_text().splitlines()[1:]]


def test_one_command_measures_several_models_and_their_controls(evaluate, other_dir, tmp_path):
    ran = evaluate(tmp_path / "out", "--model", f"other={other_dir}", "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert report == json.loads((tmp_path / "out" / "results.json").read_text())
    rows = [(row["name"], row["control"]) for row in report["rows"]]
    assert rows == [("trained", None), ("trained", "blind"), ("other", None), ("other", "blind")]
    for row in report["rows"]:
        assert list(row["scores"]) == ["CIDEr-D", "BLEU-4", "ROUGE-L"]
    trained, other = (captions_in(tmp_path / "out" / "captions" / f"{name}.jsonl") for name in ("trained", "other"))
    assert len(trained) == len(other) == COUNT
    assert trained != other


def test_both_controls_may_be_measured(evaluate, tmp_path):
    report = json.loads(
        evaluate(tmp_path, "--json", "--control", "blind", "--control", "random-encoder", "--seed", 2).out
    )
    assert [row["control"] for row in report["rows"]] == [None, "blind", "random-encoder"]
    assert (report["control_kind"], report["control_seed"]) == ("blind", 2)
    assert evaluate(tmp_path, "--control", "blind", "--control", "none").code == 2


def test_the_domains_of_nocaps_are_scored_beside_the_whole(evaluate, tmp_path):
    report = json.loads(evaluate(tmp_path, "--json").out)
    assert report["domains"] == ["in-domain", "out-domain"]  # near-domain is one photo
    row = report["rows"][0]
    assert {domain: part["photos"] for domain, part in row["domains"].items()} == {"in-domain": 12, "out-domain": 11}
    assert report["n"] == COUNT
    page = (tmp_path / "results.md").read_text()
    assert "| CIDEr-D | in-domain | out-domain | entire |\n|---|---:|---:|---:|\n| trained |" in page
    assert "| ROUGE-L | in-domain | out-domain | entire |" in page
    assert "- domains: 12 in-domain, 11 out-domain; each is scored as a set of its own" in page


def test_the_page_of_results_says_how_they_were_made(evaluate, tmp_path):
    ran = evaluate(tmp_path)
    page = (tmp_path / "results.md").read_text()
    assert f"```bash\n{json.loads((tmp_path / 'results.json').read_text())['command']}\n```" in page
    assert "--model trained=" in page
    assert "- decoding: num_beams 1, do_sample False, max_new_tokens 6\n" in page
    assert ran.out.rstrip().endswith(
        f"written: {tmp_path / 'results.json'}, {tmp_path / 'results.md'}, {tmp_path / 'gallery.html'}"
    )


class Sources(HTMLParser):
    """The pictures of a page."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if (tag, name) == ("img", "src")]


def test_the_gallery_shows_every_photo_with_its_captions(evaluate, other_dir, tmp_path):
    evaluate(tmp_path / "out", "--model", f"other={other_dir}")
    page = (tmp_path / "out" / "gallery.html").read_text()
    sources = Sources(page).found
    assert len(sources) == COUNT
    assert all((tmp_path / "out" / source).is_file() for source in sources)
    assert len(re.findall(r'<dd class="caption">', page)) == 2 * COUNT  # those of the blind control are not shown
    for words in ("trained: CIDEr-D", "other: ROUGE-L", "03.png · near-domain", "a dog runs over field 7 y"):
        assert words in page


def test_captions_that_are_there_are_not_made_again(evaluate, tmp_path, monkeypatch):
    first = evaluate(tmp_path, "--json")
    before = files(tmp_path)
    import linmap.cli.evaluate.caption_run as module

    monkeypatch.setattr(module, "load_seeing", lambda *_: pytest.fail("no model is needed"))
    assert evaluate(tmp_path, "--json").out == first.out
    assert files(tmp_path) == before


def test_another_model_joins_what_is_there(evaluate, other_dir, tmp_path):
    evaluate(tmp_path / "out")
    first = files(tmp_path / "out")
    ran = evaluate(tmp_path / "out", "--model", f"other={other_dir}", "--json")
    assert ran.code == 0, ran.err
    assert len(json.loads(ran.out)["rows"]) == 4
    assert files(tmp_path / "out")["captions/trained.jsonl"] == first["captions/trained.jsonl"]


def test_results_of_something_else_are_refused_and_kept(evaluate, other_dir, tmp_path):
    evaluate(tmp_path / "out")
    before = files(tmp_path / "out")
    for more, said in (
        (["--num-beams", 2], 'decoding was {"num_beams": 1,'),
        (["--limit", 9], "holds captions of other photos"),
        (["--batch-size", 4], "batch size was 5, and is 4 now"),
        (["--dtype", "bfloat16"], 'dtype was "auto", and is "bfloat16" now'),
    ):
        ran = evaluate(tmp_path / "out", *more)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert said in ran.err
    assert "model was" in evaluate(tmp_path / "out", model=other_dir).err
    assert files(tmp_path / "out") == before


def test_a_photo_that_cannot_be_read_is_left_out_of_every_row(evaluate, other_dir, data, tmp_path, caplog):
    (data[3] / "05.png").write_text("no photo")
    more = ["--model", f"other={other_dir}", "--max-unreadable", 1, "--json"]
    ran = evaluate(tmp_path / "out", *more)
    report = json.loads(ran.out)
    assert (report["n"], report["left_out"]) == (COUNT - 1, 1)
    assert caplog.text.count(str(data[3] / "05.png")) == 1  # named once, though two models could not read it
    again = evaluate(tmp_path / "out", *more)
    assert again.out == ran.out
    assert caplog.text.count(str(data[3] / "05.png")) == 2  # and again in every run
    assert evaluate(tmp_path / "out", "--model", f"other={other_dir}").code == 2  # none may be left out now


def test_a_run_that_is_killed_goes_on_to_the_same_files(evaluate, data, model_dir, tmp_path):
    whole, cut = tmp_path / "a" / "out", tmp_path / "b" / "out"
    assert evaluate(whole).code == 0
    captions = cut / "captions" / "trained.jsonl"
    given = [*data, "--model", f"trained={model_dir}", "--device", "cpu", "--tokenizer", "simple", "--metric", METRICS]
    words = ["evaluate", "caption", *given, "--batch-size", 5, "--output", cut]
    process = subprocess.Popen(
        [sys.executable, "-m", "linmap", *map(str, words)],
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + DEADLINE
        while process.poll() is None and not captions.exists():
            assert time.monotonic() < end, "the run did not get so far in time"
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, "the run had ended before it could be killed"
    assert captions.read_bytes() != (whole / "captions" / "trained.jsonl").read_bytes()
    assert evaluate(cut).code == 0
    found = {name: content.replace(b"/b/out", b"/a/out") for name, content in files(cut).items()}
    assert found == files(whole)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--model", "a/b="], "--model a/b= names no model"),
        (["--model", "a/b=default"], "'a/b' cannot name a captioner"),
        (["--model", "trained=default"], "Two captioners are called 'trained'"),
        (["--model", "Trained=default"], "Two captioners are called 'Trained'"),
        (["--model", "x=./nowhere"], "There is no folder './nowhere'"),
        (["--metric", "cidre_d"], "Unknown metric 'cidre_d'. Did you mean 'cider_d'? Known: bleu, bleu_1"),
        (["--metric", ","], "Unknown metric ','"),
    ],
)
def test_a_wrong_word_is_one_line(evaluate, tmp_path, given, said):
    ran = evaluate(tmp_path / "out", *given)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_one_line(evaluate, tmp_path):
    (tmp_path / "file").write_text("no folder")
    ran = evaluate(tmp_path / "file")
    assert ran.code == 2
    assert f"Nothing can be written in {tmp_path / 'file'} (File exists); name another folder." in ran.err
    assert ran.err.count("\n") == 1


def test_two_runs_do_not_write_into_one_folder(evaluate, tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"):
        ran = evaluate(tmp_path / "out")
    assert (ran.code, ran.out) == (2, "")
    assert "Another run is writing in" in ran.err
    assert evaluate(tmp_path / "out").code == 0


@pytest.mark.parametrize(
    "there",
    ['{"command": "linmap evaluate vqa --data q.json"}', '{"mine": 1}', "[1]", "no JSON"],
    ids=["vqa", "mine", "list", "text"],
)
def test_results_of_something_else_are_not_replaced(evaluate, tmp_path, there):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text(there)
    ran = evaluate(tmp_path / "out")
    assert (ran.code, ran.out) == (2, "")
    assert "results.json was not written by `linmap evaluate caption`, and would be replaced." in ran.err
    assert (tmp_path / "out" / "results.json").read_text() == there
    assert not (tmp_path / "out" / "captions").exists()


# ---------------------------------------------------------------------------------------------------------------------
# Scores in model cards.


@pytest.fixture
def mine(tmp_path, model_dir):
    """A model folder of one's own, with an edited card."""
    folder = shutil.copytree(model_dir, tmp_path / "mine")
    card = folder / "README.md"
    card.write_text(card.read_text().replace("## Use", "My own words.\n\n## Use"))
    return folder


def test_scores_and_controls_go_into_the_card_and_its_text_stays(evaluate, mine, tmp_path):
    from huggingface_hub import ModelCard

    before = (mine / "README.md").read_text()
    ran = evaluate(tmp_path / "out", "--update-card", "--control", "blind", "--control", "random-encoder", model=mine)
    assert ran.code == 0, ran.err
    assert ran.out.rstrip().endswith(str(mine / "README.md"))
    report = json.loads((tmp_path / "out" / "results.json").read_text())
    text = (mine / "README.md").read_text()
    assert "My own words." in text
    assert set(before.split()) <= {*text.split(), "Not", "measured."}
    results = ModelCard.load(mine / "README.md").data.eval_results
    found = {
        one.metric_name: one.metric_value for one in results if one.metric_type == "rouge_l" and not one.dataset_config
    }
    own, blind, random = (row["scores"]["ROUGE-L"] for row in report["rows"])
    assert found == {
        "ROUGE-L": own,
        "ROUGE-L (blind control)": blind,
        "ROUGE-L (random-encoder control)": random,
    }
    assert {one.dataset_config for one in results} == {None, "in-domain", "out-domain"}
    assert "| this model | blind control | random encoder control |" in text
    again = evaluate(tmp_path / "out", "--update-card", "--control", "blind", "--control", "random-encoder", model=mine)
    assert (again.code, (mine / "README.md").read_text()) == (0, text)  # the card is no part of the model


def test_a_folder_without_a_card_gets_one(evaluate, mine, tmp_path):
    (mine / "README.md").unlink()
    assert evaluate(tmp_path / "out", "--update-card", model=mine).code == 0
    text = (mine / "README.md").read_text()
    assert "## Frozen parts" in text
    assert "| CIDEr-D |" in text


def test_a_card_that_cannot_be_added_to_costs_no_numbers(evaluate, mine, tmp_path):
    (mine / "README.md").write_text("---\na: [1\n---\n")
    ran = evaluate(tmp_path / "out", "--update-card", "--json", model=mine)
    assert ran.code == 2
    assert "is no YAML" in ran.err
    assert json.loads(ran.out)["n"] == COUNT
    assert (tmp_path / "out" / "results.json").is_file()


def test_the_card_of_the_bundled_model_is_not_ours_to_change(evaluate, tmp_path):
    ran = evaluate(tmp_path / "out", "--model", "bundled=default", "--update-card")
    assert (ran.code, ran.out) == (2, "")
    assert "--update-card writes into the folder of a model, and the bundled model is none." in ran.err


# ---------------------------------------------------------------------------------------------------------------------
# CLIPScore, and photos of which there are only features.


def test_clip_score_carries_the_name_of_its_dual_encoder(evaluate, data, dual_dir, tmp_path):
    import torch

    from linmap.cli.dual_encoders import load_dual_encoder
    from linmap.dual.embedding import embed_photos, embed_texts

    ran = evaluate(tmp_path / "out", "--metric", "rouge_l,clip_score,ref_clip_score", "--dual", dual_dir, "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert report["metrics"] == ["ROUGE-L", f"CLIPScore ({dual_dir})", f"RefCLIPScore ({dual_dir})"]
    dual = load_dual_encoder(str(dual_dir), "cpu")
    captions = captions_in(tmp_path / "out" / "captions" / "trained.jsonl")
    seen = embed_photos(*dual, [data[3] / f"{number:02d}.png" for number in range(COUNT)]).features
    said = embed_texts(*dual, [f"A photo depicts {caption}" for caption in captions])
    expected = 250 * torch.nn.functional.cosine_similarity(seen, said).clamp(min=0).mean()
    assert report["rows"][0]["scores"][f"CLIPScore ({dual_dir})"] == pytest.approx(float(expected), abs=0.01)
    assert f"trained: CLIPScore ({dual_dir})" in (tmp_path / "out" / "gallery.html").read_text()


@pytest.fixture
def store(linmap, data, model_dir, tmp_path):
    """The features of the photos, for the model."""
    folder = tmp_path / "features"
    ran = linmap(
        "features",
        "extract",
        data[1],
        "--images",
        data[3],
        "--model",
        model_dir,
        "--output",
        folder,
        "--dtype",
        "float32",
    )
    assert ran.code == 0, ran.err
    return folder


@pytest.fixture
def from_features(linmap, store, model_dir):
    def run(*more, model=model_dir):
        given = ["--features", store, "--model", f"trained={model}", "--device", "cpu", "--tokenizer", "simple"]
        return linmap("evaluate", "caption", *given, "--metric", METRICS, "--batch-size", 5, *more)

    return run


def test_features_give_the_captions_that_their_photos_give(from_features, evaluate, data, tmp_path, monkeypatch):
    import linmap.prefix.frozen_parts as parts

    evaluate(tmp_path / "photos-out")
    monkeypatch.setattr(parts, "named_encoder", lambda *_, **__: pytest.fail("no encoder is needed"))
    monkeypatch.setattr(parts, "own_encoder", lambda *_, **__: pytest.fail("no encoder is needed"))
    ran = from_features("--json", "--output", tmp_path / "out", "--images", data[3])
    assert ran.code == 0, ran.err
    one, other = (captions_in(tmp_path / folder / "captions" / "trained.jsonl") for folder in ("out", "photos-out"))
    assert one == other
    report, seen = (json.loads((tmp_path / folder / "results.json").read_text()) for folder in ("out", "photos-out"))
    assert [row["scores"] for row in report["rows"]] == [row["scores"] for row in seen["rows"]]
    assert len(Sources((tmp_path / "out" / "gallery.html").read_text()).found) == COUNT
    assert from_features("--json", "--output", tmp_path / "out", "--images", data[3]).out == ran.out  # and are kept


def test_without_photos_the_gallery_has_no_pictures(from_features, tmp_path):
    assert from_features("--output", tmp_path / "out").code == 0
    page = (tmp_path / "out" / "gallery.html").read_text()
    assert Sources(page).found == []
    assert len(re.findall(r'<dd class="caption">', page)) == COUNT


def test_features_of_another_encoder_are_refused(from_features, tmp_path, model_dir):
    other = shutil.copytree(model_dir, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    config["grid_size"], config["num_image_tokens"] = 3, 9
    (other / "config.json").write_text(json.dumps(config))
    ran = from_features(model=other)
    assert (ran.code, ran.out) == (2, "")
    assert "grid_size 2, and the model has 3" in ran.err


def test_what_needs_photos_says_so_of_features(from_features, data, linmap):
    for more, said in (
        (["--control", "random-encoder"], "--control random-encoder encodes photos"),
        (["--metric", "clip_score"], "CLIPScore looks at photos, not at features; give their folder, --images DIR"),
        (["--data", data[1]], "Give --data or --features, not both"),
    ):
        ran = from_features(*more)
        assert (ran.code, ran.out) == (2, "")
        assert said in ran.err
    assert "Give captions and their photos" in linmap("evaluate", "caption", "--data", data[1]).err
