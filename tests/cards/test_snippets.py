"""What a card tells its reader to do is done: every snippet and every command, on a saved model of that kind."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import pytest

from linmap.cards.card import KINDS

FOLDER = "path/to/this/folder"
SNIPPETS = {
    "linear_vision_prefix": 1,
    "dual_encoder": 2,
    "decap": 1,
    "clippo": 1,
    "clippo_sequence_classification": 1,
    "clippo_question_answering": 1,
}
COMMANDS = {
    "linear_vision_prefix": 1,
    "dual_encoder": 1,
    "decap": 1,
    "clippo": 1,
    "clippo_sequence_classification": 0,
    "clippo_question_answering": 1,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory, pictures):
    """A reader's folder: a photo, photos with captions, and questions about them."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "photos").mkdir()
    for number, picture in enumerate(pictures):
        picture.save(folder / "photos" / f"{number}.jpg")
    shutil.copy(folder / "photos" / "0.jpg", folder / "photo.jpg")
    captions = [
        {"file": f"{number}.jpg", "captions": [text], "split": "val"}
        for number, text in enumerate(["a dog runs", "two men", "a woman in town", "people in a street"])
    ]
    (folder / "captions.json").write_text(json.dumps(captions))
    questions = [
        {"file": f"{number}.jpg", "question": "what is on the desk?", "answer": "lamp", "split": "test"}
        for number in range(4)
    ]
    (folder / "questions.json").write_text(json.dumps(questions))
    return folder


def blocks(kind, language, folder):
    """The blocks of the section Use, with the folder for its path."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    use = re.search(r"^## Use$.*?(?=^## )", card, re.DOTALL | re.MULTILINE)[0]
    assert FOLDER in use
    return [code.replace(FOLDER, str(folder)) for code in re.findall(rf"```{language}\n(.*?)```", use, re.DOTALL)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_snippet_runs_as_it_is_pasted(kind, model_folder, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    found = blocks(kind, "python", model_folder(kind))
    assert len(found) == SNIPPETS[kind]
    for code in found:
        capsys.readouterr()
        exec(compile(code, f"{kind} card", "exec"), {"__name__": "__main__"})
        assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.weights if kind == "clippo_question_answering" else ())  # WUPS: WordNet
        for kind in KINDS
    ],
)
def test_each_command_runs_as_it_is_pasted(kind, model_folder, place, monkeypatch, capsys):
    from linmap.cli.app import main

    monkeypatch.chdir(place)
    found = blocks(kind, "bash", model_folder(kind))
    assert len(found) == COMMANDS[kind]
    for command in found:
        words = shlex.split(command)
        assert words.pop(0) == "linmap"
        code = main(words)
        said = capsys.readouterr()
        assert code == 0, said.err
        assert said.out.strip()


FEATURES = {
    "linear_vision_prefix": {"language_model"},
    "dual_encoder": set(),
    "decap": set(),
}


@pytest.mark.parametrize("kind", FEATURES)
def test_a_card_of_a_model_that_takes_features_loads_it_and_shows_no_photo(kind, model_folder, monkeypatch):
    from linmap.cards import model_card
    from linmap.weights.identity import Fingerprint

    part = Fingerprint("gpt2", "transformers", "gpt2", license="mit").to_dict()
    card = str(model_card(kind=kind, backbones={role: part for role in FEATURES[kind]}))
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert "photo.jpg" not in card
    exec(code.replace(FOLDER, str(model_folder(kind))), {"__name__": "__main__"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_saved_again_keeps_what_a_person_wrote(kind, model_folder, tmp_path):
    from transformers import AutoConfig

    import linmap

    folder = shutil.copytree(model_folder(kind), tmp_path / "mine")
    edited = (folder / "README.md").read_text(encoding="utf-8").replace("## Limits", "Ask us first.\n\n## Limits")
    (folder / "README.md").write_text(edited, encoding="utf-8")
    model = getattr(linmap, AutoConfig.from_pretrained(folder).architectures[0]).from_pretrained(folder)
    model.save_pretrained(folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == edited
