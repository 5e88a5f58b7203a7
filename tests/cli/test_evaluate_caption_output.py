"""`linmap evaluate caption --output`: several models, NoCaps' domains, and runs that go on after a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest

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
    """The same model, its projection changed."""
    from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor

    model = LinearVisionPrefixModel.from_pretrained(model_dir)
    model.projector.weight.data.mul_(-3)
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


def test_one_command_measures_several_models_and_their_controls(evaluate, other_dir, tmp_path):
    ran = evaluate(tmp_path / "out", "--model", f"other={other_dir}", "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert report == json.loads((tmp_path / "out" / "results.json").read_text())
    rows = [(row["name"], row["control"]) for row in report["rows"]]
    assert rows == [("trained", None), ("trained", "blind"), ("other", None), ("other", "blind")]
    for row in report["rows"]:
        assert list(row["scores"]) == ["CIDEr-D", "BLEU-4", "ROUGE-L"]
    assert report["rows"][0]["scores"] != report["rows"][2]["scores"]


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
    assert "file cannot be made (File exists); name another folder." in ran.err
    assert ran.err.count("\n") == 1
