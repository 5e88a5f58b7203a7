from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from linmap import DeCapModel, DeCapProcessor, SupportMemory
from linmap.data.video import sample_frames
from linmap.decap.captioning import caption_photos, caption_videos

from .conftest import SENTENCES, photo


def write_video(file: Path, seeds: list[int]) -> Path:
    with av.open(str(file), "w") as container:
        stream: Any = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for seed in seeds:
            picture = photo(seed, 8, 6).resize((64, 48), Image.Resampling.NEAREST)
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return file


@pytest.fixture(scope="module")
def decap(decap_dir: Path) -> tuple[DeCapModel, DeCapProcessor]:
    return DeCapModel.from_pretrained(decap_dir), DeCapProcessor.from_pretrained(decap_dir)


def test_every_photo_gets_the_caption_that_the_library_gives(linmap, decap, decap_dir, photos):
    ran = linmap("caption", photos, "--decap", decap_dir)
    assert (ran.code, ran.err) == (0, "")
    files = sorted(photos.iterdir())
    captions = [answer.caption for answer in caption_photos(*decap, files)]
    assert ran.out.splitlines() == [f"{file}: {caption}" for file, caption in zip(files, captions, strict=True)]


@pytest.mark.parametrize("strategy", ["projection", "nearest", "visual", "retrieval"])
def test_the_strategy_can_be_named(linmap, decap, decap_dir, photos, strategy):
    ran = linmap("caption", photos / "a.jpg", "--decap", decap_dir, "--strategy", strategy, "--json")
    (answer,) = caption_photos(*decap, [photos / "a.jpg"], strategy=strategy)
    assert json.loads(ran.out) == {"image": str(photos / "a.jpg"), "caption": answer.caption}
    if strategy == "retrieval":
        assert answer.caption in SENTENCES


def test_explain_shows_the_sentences_under_each_caption(linmap, decap, decap_dir, photos):
    ran = linmap("caption", photos / "a.jpg", photos / "b.png", "--decap", decap_dir, "--explain")
    lines = ran.out.splitlines()
    assert len(lines) == 2 * (1 + len(SENTENCES))
    for start, name in ((0, "a.jpg"), (5, "b.png")):
        (answer,) = caption_photos(*decap, [photos / name], num_support=5)
        assert lines[start] == f"{photos / name}: {answer.caption}"
        shown = [line.split("%  ") for line in lines[start + 1 : start + 5]]
        assert [sentence for _, sentence in shown] == [sentence.caption for sentence in answer.support]
        weights = [float(weight) for weight, _ in shown]
        assert weights == sorted(weights, reverse=True)
        assert sum(weights) == pytest.approx(100, abs=0.3)
        assert all(line.startswith("    ") for line in lines[start + 1 : start + 5])


def test_explain_in_json_gives_weights_and_rows(linmap, decap_dir, photos):
    ran = linmap("caption", photos / "a.jpg", "--decap", decap_dir, "--explain", "--json")
    support = json.loads(ran.out)["support"]
    assert sum(sentence["weight"] for sentence in support) == pytest.approx(1, abs=1e-5)
    assert [SENTENCES[sentence["index"]] for sentence in support] == [sentence["caption"] for sentence in support]


def test_explain_says_that_visual_decoding_has_no_sentences(linmap, decap_dir, photos):
    asked = ("caption", photos / "a.jpg", "--decap", decap_dir, "--explain", "--strategy", "visual")
    assert linmap(*asked).out.splitlines()[1].strip().startswith("(the photo's own latent was decoded: no sentence")
    assert json.loads(linmap(*asked, "--json").out)["support"] == []


def test_the_temperature_changes_the_weights(linmap, decap_dir, photos):
    def heaviest(tau: str) -> float:
        ran = linmap("caption", photos / "a.jpg", "--decap", decap_dir, "--explain", "--json", "--tau", tau)
        return json.loads(ran.out)["support"][0]["weight"]

    assert heaviest("0.001") > 0.99 > 0.3 > heaviest("100")


def test_another_memory_can_be_named(linmap, decap, decap_dir, photos, tmp_path):
    tower = decap[0].dual_encoder.text_fingerprint()
    SupportMemory.from_latents(torch.randn(1, 32), ["the only one"], text_tower=tower).save_pretrained(tmp_path / "m")
    asked = ("caption", photos / "a.jpg", "--decap", decap_dir, "--strategy", "retrieval", "--memory", tmp_path / "m")
    assert linmap(*asked).out == f"{photos / 'a.jpg'}: the only one\n"


def test_a_model_without_a_memory_says_how_to_get_one(linmap, decap_dir, photos, tmp_path):
    shutil.copytree(decap_dir, tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "memory")
    ran = linmap("caption", photos / "a.jpg", "--decap", tmp_path / "model")
    assert (ran.code, ran.out) == (2, "")
    assert "has no support memory, and the strategy 'projection' asks one. Give it one with --memory DIR" in ran.err
    assert linmap("caption", photos / "a.jpg", "--decap", tmp_path / "model", "--strategy", "visual").code == 0


def test_photos_and_videos_are_answered_in_the_order_of_the_words(linmap, decap, decap_dir, photos, tmp_path):
    film = write_video(tmp_path / "film.mp4", list(range(20)))
    words = [photos / "a.jpg", film, "missing.jpg", photos / "b.png", photos / "c.jpg", film]
    ran = linmap("caption", *words, "--decap", decap_dir, "--json", "--frames", "4")
    assert ran.code == 2
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert [record.get("image") or record["video"] for record in records] == [str(word) for word in words]
    (answer,) = caption_videos(*decap, [film], num_frames=4)
    assert records[1] == records[5] == {"video": str(film), "caption": answer.caption}
    assert "there is no such file" in records[2]["error"]
    (answer,) = caption_photos(*decap, [photos / "c.jpg"])
    assert records[4]["caption"] == answer.caption


def test_photos_can_be_the_frames_of_one_video(linmap, decap, decap_dir, photos):
    files = sorted(str(file) for file in photos.iterdir())
    (answer,) = caption_videos(*decap, [files])
    ran = linmap("caption", photos, "--decap", decap_dir, "--as-video")
    assert (ran.code, ran.out) == (0, f"{files[0]} … {files[-1]} (3 frames): {answer.caption}\n")
    ran = linmap("caption", photos, "--decap", decap_dir, "--as-video", "--json", "--frames", "1")
    (middle,) = caption_photos(*decap, [files[1]])
    assert json.loads(ran.out) == {"video": files, "caption": middle.caption}


def test_a_frame_that_is_not_there_leaves_no_video(linmap, decap_dir, photos, tmp_path):
    ran = linmap("caption", photos / "a.jpg", photos / "z.jpg", "--decap", decap_dir, "--as-video")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith("z.jpg: there is no such file; check the path.\n")
    film = write_video(tmp_path / "film.mp4", [0, 1])
    ran = linmap("caption", film, "--decap", decap_dir, "--as-video")
    assert (ran.code, ran.out) == (2, "")
    assert "film.mp4 is a video, and --as-video makes one of photos. Leave it out." in ran.err


def test_a_video_that_cannot_be_read_costs_only_its_own_caption(linmap, decap_dir, photos, tmp_path):
    (tmp_path / "film.mp4").write_text("no film")
    ran = linmap("caption", tmp_path / "film.mp4", photos / "a.jpg", "--decap", decap_dir)
    assert ran.code == 2
    assert ran.out.startswith(f"{photos / 'a.jpg'}: ")
    assert "film.mp4: it is no video that is known here" in ran.err


def test_without_decap_a_video_is_refused_and_photos_are_captioned(linmap, model_dir, photos, tmp_path):
    film = write_video(tmp_path / "film.mp4", [0, 1])
    assert np.asarray(sample_frames(film)[0]).any()
    ran = linmap("caption", film, photos / "a.jpg", "--model", model_dir)
    assert ran.code == 2
    assert ran.out.startswith(f"{photos / 'a.jpg'}: ")
    assert "film.mp4 is a video; models of DeCap caption videos: --decap MODEL, or --decap default." in ran.err


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--explain"], "--explain: for models of DeCap. Name one with --decap MODEL."),
        (["--tau", "0", "--frames", "3"], "--tau, --frames: for models of DeCap. Name one with --decap MODEL."),
        (["--decap", "x", "--prompt", "A"], "--prompt: not for models of DeCap. Leave it out, or leave --decap out."),
        (["--decap", "x", "--model", "y"], "--model: not for models of DeCap. Leave it out, or leave --decap out."),
    ],
)
def test_options_that_say_nothing_to_the_model_are_refused(linmap, photos, options, wanted):
    ran = linmap("caption", photos, *options)
    assert (ran.code, ran.out) == (2, "")
    assert wanted in ran.err


def test_models_of_another_kind_are_sent_where_they_belong(linmap, model_dir, decap_dir, dual_dir, photos):
    ran = linmap("caption", photos, "--decap", model_dir)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "this takes one of type 'decap'. Give it to linmap caption as --model." in ran.err
    ran = linmap("caption", photos, "--model", decap_dir)
    assert "this takes one of type 'linear_vision_prefix'. Give it to linmap caption as --decap." in ran.err
    ran = linmap("caption", photos, "--decap", dual_dir)
    assert "compares photos with texts and does not caption. Name a model of type 'decap'" in ran.err


def test_wrong_words_are_one_line(linmap, decap_dir, photos):
    ran = linmap("caption", photos, "--decap", decap_dir, "--strategy", "projektion")
    assert (ran.code, ran.out) == (2, "")
    assert "Unknown strategy 'projektion'. Did you mean 'projection'?" in ran.err
    ran = linmap("caption", photos, "--decap", decap_dir, "--tau", "0")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "The temperature is 0.0; give a number above 0" in ran.err
    ran = linmap("caption", photos, "--decap", decap_dir, "--memory", photos)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    ran = linmap("caption", photos, "--decap", "nowhere")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "There is no folder 'nowhere'" in ran.err
    assert "the bundled model is there without a name, that of DeCap as 'default'" in ran.err
