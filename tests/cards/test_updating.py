"""Scores in a card that is there: the Hub's eval results and a table; every other word is kept."""

from __future__ import annotations

import re

import pytest
import yaml
from huggingface_hub import ModelCard

from linmap.cards import update_model_card, write_model_card
from linmap.errors import ModelCardError
from linmap.weights.identity import Fingerprint

LM = Fingerprint(name="gpt2", library="transformers", id="openai-community/gpt2", license="mit").to_dict()
BACKBONES = {"language_model": LM}
HOW = {"dataset": "flickr8k/captions.json", "split": "val", "photos": 1000, "tokenizer": "ptb", "command": "linmap x"}
SCORES = [
    {**HOW, "metric": "CIDEr-D", "value": 38.61},
    {**HOW, "metric": "CIDEr-D", "value": 5.0, "control": "blind"},
    {**HOW, "metric": "BLEU-4", "value": 12.3},
    {**HOW, "metric": "BLEU-4", "value": 2.1, "control": "blind"},
]
ROW = "| CIDEr-D | flickr8k/captions.json | val | 1000 | ptb | 38.6 | 5.0 |"


def edited(folder):
    """A card of ours in which somebody wrote: a comment in the header, other line ends, code with a heading in it."""
    path = write_model_card(folder, backbones=BACKBONES)
    text = path.read_text().replace("library_name: linmap\n", "library_name: linmap   # ours\ndatasets: [flickr8k]\n")
    text = text.replace("## Limits\n", "```bash\n# no heading\n```\n\nMy own wörds, never lost.\n\n## Limits\n")
    path.write_bytes(text.replace("\n## Use\n", "\r\n## Use\r\n").encode())
    return path


def without_scores(text):
    """What is left of a card without what is written anew."""
    text = re.sub(r"^model-index:\n(?:(?: |- ).*\n)*", "", text, flags=re.MULTILINE)
    return re.sub(r"<!-- Scores by .*?begin.*?end -->", "", text, flags=re.DOTALL)


def test_a_control_stands_beside_each_score(tmp_path):
    write_model_card(tmp_path, backbones=BACKBONES)
    text = update_model_card(tmp_path, SCORES).read_text()
    assert "| metric | dataset | split | photos | tokenizer | this model | blind control |" in text
    assert ROW in text
    assert "| BLEU-4 | flickr8k/captions.json | val | 1000 | ptb | 12.3 | 2.1 |" in text
    assert text.count("linmap x\n") == 1 + 4  # in the table's command, and with every score of the header
    assert "Not measured." not in text


def test_the_hub_finds_every_score_in_the_header(tmp_path):
    write_model_card(tmp_path, backbones=BACKBONES)
    results = ModelCard.load(update_model_card(tmp_path, SCORES)).data.eval_results
    found = [(one.metric_type, one.metric_name, one.metric_value, one.dataset_split) for one in results]
    assert found == [
        ("cider_d", "CIDEr-D", 38.61, "val"),
        ("cider_d", "CIDEr-D (blind control)", 5.0, "val"),
        ("bleu_4", "BLEU-4", 12.3, "val"),
        ("bleu_4", "BLEU-4 (blind control)", 2.1, "val"),
    ]
    assert {(one.task_type, one.dataset_type) for one in results} == {("image-text-to-text", "flickr8k-captions.json")}


def test_a_card_nobody_edited_still_counts_as_one(tmp_path):
    path = write_model_card(tmp_path, backbones=BACKBONES)
    fresh = path.read_text()
    update_model_card(tmp_path, SCORES)
    assert ROW in path.read_text()
    write_model_card(tmp_path, backbones=BACKBONES)  # a model that is saved again is another: its scores are gone
    assert path.read_text() == fresh


def test_an_edited_card_keeps_every_byte_of_its_text(tmp_path):
    path = edited(tmp_path)
    before = path.read_bytes().decode()
    update_model_card(tmp_path, SCORES)
    after = path.read_bytes().decode()
    assert ROW in after
    assert without_scores(after).split() == before.replace("Not measured.", "").split()
    for line in before.splitlines(keepends=True):
        assert line in after or line == "Not measured.\n"
    write_model_card(tmp_path, backbones=BACKBONES)
    assert path.read_bytes().decode() == after


def test_measuring_again_changes_the_number_and_nothing_else(tmp_path):
    path = edited(tmp_path)
    update_model_card(tmp_path, SCORES)
    before = path.read_bytes()
    update_model_card(tmp_path, SCORES)
    assert path.read_bytes() == before
    update_model_card(tmp_path, [{**SCORES[0], "value": 40.0}])
    assert path.read_bytes() == before.replace(b"| 38.6 |", b"| 40.0 |").replace(b"value: 38.61", b"value: 40.0")


def test_what_was_measured_otherwise_gets_a_row_of_its_own(tmp_path):
    write_model_card(tmp_path, backbones=BACKBONES)
    update_model_card(tmp_path, SCORES)
    update_model_card(tmp_path, [{**HOW, "split": "test", "metric": "CIDEr-D", "value": 37.0}])
    nocaps = {**HOW, "dataset": "nocaps", "split": None, "metric": "CIDEr-D"}
    text = update_model_card(
        tmp_path, [{**nocaps, "value": 43.9}, {**nocaps, "domain": "in-domain", "value": 34.3}]
    ).read_text()
    assert ROW.replace("| val |", "| val |  |") in text
    assert "| CIDEr-D | flickr8k/captions.json | test |  | 1000 | ptb | 37.0 | not measured |" in text
    assert "| CIDEr-D | nocaps |  | in-domain | 1000 | ptb | 34.3 | not measured |" in text
    assert "| CIDEr-D | nocaps |  |  | 1000 | ptb | 43.9 | not measured |" in text


def test_scores_of_others_stay_in_the_header(tmp_path):
    theirs = {
        "name": "their-name",
        "results": [
            {
                "task": {"type": "text-generation"},
                "dataset": {"type": "x", "name": "X"},
                "metrics": [{"type": "accuracy", "value": 0.5, "args": [1, 2]}],
            }
        ],
    }
    header = yaml.safe_dump({"model-index": [theirs], "license": "mit"}, sort_keys=False)
    (tmp_path / "README.md").write_text(f"---\n{header}---\n# Theirs\n")
    text = update_model_card(tmp_path, SCORES[:1]).read_text()
    index = yaml.safe_load(text.split("---\n")[1])["model-index"]
    assert index[0]["name"] == "their-name"
    assert index[0]["results"][0] == theirs["results"][0]
    assert len(index[0]["results"]) == 2
    assert "license: mit\n" in text
    assert "| accuracy |" not in text


@pytest.mark.parametrize(
    "text", ["", "# Mine\n\nwords\n", "---\nlicense: mit\n---\n", "---\n---\n# Mine\n\n## Scores\n"]
)
def test_whatever_the_card_was_the_scores_get_in(tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    path = update_model_card(tmp_path, SCORES)
    written = path.read_text()
    assert ROW in written
    assert written.count("## Scores") == 1
    assert all(word in written.split() for word in text.split())
    assert len(ModelCard.load(path).data.eval_results) == 4
    update_model_card(tmp_path, SCORES)
    assert path.read_text() == written


def test_scores_that_came_with_the_card_are_in_one_table_with_the_new_ones(tmp_path):
    first = [{**HOW, "metric": "CIDEr-D", "value": 30.0}, {**HOW, "split": "test", "metric": "CIDEr-D", "value": 29.0}]
    write_model_card(tmp_path, backbones=BACKBONES, scores=first)
    text = update_model_card(tmp_path, SCORES).read_text()
    assert "| 30.0 |" not in text
    assert ROW in text
    assert text.count("| metric |") == 1
    assert len(ModelCard.load(tmp_path / "README.md").data.eval_results) == 5


def test_a_card_written_with_scores_is_one_that_was_written_and_measured_afterwards(tmp_path):
    (tmp_path / "a" / "model").mkdir(parents=True)
    (tmp_path / "b" / "model").mkdir(parents=True)
    at_once = write_model_card(tmp_path / "a" / "model", backbones=BACKBONES, scores=SCORES)
    write_model_card(tmp_path / "b" / "model", backbones=BACKBONES)
    assert at_once.read_text() == update_model_card(tmp_path / "b" / "model", SCORES).read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"---\na: [1\n---\n", "is no YAML"),
        (b"---\n- a\n---\n", "holds no names with their values"),
        (b"---\nmodel-index: [{name: x}]\n---\n", "is not as the Hub has it"),
        (b"---\nmodel-index: 3\n---\n", "is not as the Hub has it"),
        (b"\xff\xfe", "cannot be read"),
        (None, "cannot be read (No such file or directory); save the model again"),
    ],
)
def test_a_card_that_cannot_be_added_to_is_left_as_it_is(tmp_path, content, said):
    path = tmp_path / "README.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelCardError, match=re.escape(said)):
        update_model_card(tmp_path, SCORES)
    assert not path.exists() if content is None else path.read_bytes() == content
