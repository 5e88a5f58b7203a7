"""Zero-shot classifiers: the templates of the CLIP work, the mean over prompts, and agreement with open_clip."""

from __future__ import annotations

import hashlib

import pytest
import torch
import yaml
from torch.nn.functional import normalize

from linmap.errors import EvaluationError, UnknownNameError
from linmap.evaluation import TEMPLATES, classify, load_templates, zero_shot_classifier

NAMES = ["tench", "great white shark", "cock", "water ouzel, dipper", "kite {bird}"]
PROMPTS = load_templates("imagenet-7")


def embed(texts: list[str]) -> torch.Tensor:
    """Any fixed embedding of a text, of any length: here drawn from its hash."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) for text in texts]
    return torch.stack([torch.randn(12, generator=torch.Generator().manual_seed(seed)) * 7 for seed in seeds])


def test_the_templates_are_those_of_open_clip():
    from open_clip import OPENAI_IMAGENET_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES

    assert load_templates("imagenet-80") == tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)
    assert load_templates("imagenet-7") == tuple(template("{}") for template in SIMPLE_IMAGENET_TEMPLATES)
    assert load_templates("plain") == ("a photo of a {}.",)
    assert [len(load_templates(name)) for name in TEMPLATES] == [80, 7, 1]


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_say_where_they_come_from(repository, name):
    text = (repository / "src" / "linmap" / "evaluation" / "templates" / f"{name}.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    assert "github.com/openai/CLIP" in content["source"]
    assert content["license"].startswith("MIT")
    assert all(template.count("{}") == 1 for template in content["templates"])


def test_an_unknown_set_of_templates_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match=r"Unknown set of templates 'imagenet80'\. Did you mean 'imagenet-80'"):
        load_templates("imagenet80")


def test_a_class_is_the_mean_of_its_normalised_prompts_normalised():
    classifier = zero_shot_classifier(embed, NAMES, PROMPTS)
    for name, row in zip(NAMES, classifier, strict=True):
        prompts = [prompt.replace("{}", name) for prompt in PROMPTS]
        torch.testing.assert_close(row, normalize(normalize(embed(prompts)).mean(dim=0), dim=0))
    assert classifier.dtype == torch.float32


def test_the_classifier_is_that_of_open_clip():
    from open_clip import CLIP, build_zero_shot_classifier, get_tokenizer
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    torch.manual_seed(0)
    tower = CLIPTextCfg(context_length=32, width=16, heads=2, layers=2)
    model = CLIP(8, CLIPVisionCfg(layers=1, width=16, head_width=8, patch_size=8, image_size=16), tower).eval()
    tokenizer = get_tokenizer("ViT-B-32", context_length=32)
    theirs = build_zero_shot_classifier(model, tokenizer, NAMES[:4], PROMPTS)
    with torch.inference_mode():
        ours = zero_shot_classifier(lambda texts: model.encode_text(tokenizer(texts)), NAMES[:4], PROMPTS)
    torch.testing.assert_close(ours, theirs.T, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 16, 1000])
def test_batches_change_nothing(batch_size):
    ours = zero_shot_classifier(embed, NAMES, PROMPTS, batch_size=batch_size)
    torch.testing.assert_close(ours, zero_shot_classifier(embed, NAMES, PROMPTS))


def test_many_classes_in_small_batches_come_out_in_their_order():
    names = [f"class {number}" for number in range(300)]
    whole = zero_shot_classifier(embed, names, load_templates("plain"))
    torch.testing.assert_close(zero_shot_classifier(embed, names, load_templates("plain"), batch_size=1), whole)
    torch.testing.assert_close(whole[217:218], zero_shot_classifier(embed, ["class 217"], load_templates("plain")))


def test_batches_are_as_large_as_asked_sorted_by_length_and_told_about():
    batches, told = [], []

    def seen(texts):
        batches.append(texts)
        return embed(texts)

    zero_shot_classifier(seen, NAMES, PROMPTS, batch_size=16, on_batch=told.append)
    assert [len(batch) for batch in batches] == told == [16, 16, 3]
    lengths = [len(text) for batch in batches for text in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert len({text for batch in batches for text in batch}) == 35


def test_the_order_of_classes_and_templates_is_the_order_of_rows_and_nothing_else():
    classifier = zero_shot_classifier(embed, NAMES, PROMPTS)
    torch.testing.assert_close(zero_shot_classifier(embed, NAMES[::-1], PROMPTS[::-1]), classifier.flip(0))


def test_a_photo_is_of_the_class_with_the_highest_cosine():
    classifier = zero_shot_classifier(embed, NAMES, PROMPTS)
    images = torch.randn(50, 12, generator=torch.Generator().manual_seed(0))
    expected = torch.cosine_similarity(images[:, None], classifier[None], dim=-1).argmax(dim=1)
    assert classify(images, classifier).equal(expected)
    assert classify(9 * images, classifier, chunk_size=7).equal(expected)
    assert classify(classifier, classifier).tolist() == [0, 1, 2, 3, 4]


def test_classes_of_one_name_are_warned_of(caplog):
    zero_shot_classifier(embed, ["missile", "crane", "missile"], PROMPTS)
    assert "1 class names stand for several classes ('missile'); photos of these go to the first" in caplog.text


@pytest.mark.parametrize(
    ("names", "templates", "message"),
    [
        ([], PROMPTS, r"The class names are \[\]; give a list of at least one"),
        ("cat", PROMPTS, "The class names are 'cat'; give a list"),
        (["cat", " "], PROMPTS, "Class name 1 is ' '; give every class a name"),
        (["cat"], [], r"The templates are \[\]; give a list of at least one, or load_templates"),
        (["cat"], "a {}", "The templates are 'a {}'; give a list"),
        (["cat"], ["a {}", "a photo"], r"The template 'a photo' has no \{\} where the class name goes; put it in"),
    ],
)
def test_names_and_templates_that_make_no_prompt_are_an_error(names, templates, message):
    with pytest.raises(EvaluationError, match=message):
        zero_shot_classifier(embed, names, templates)


def test_a_text_encoder_that_gives_something_else_is_an_error():
    with pytest.raises(EvaluationError, match=r"gave \(6, 12\) for 7 texts; expected \(7, dim\)"):
        zero_shot_classifier(lambda texts: embed(texts)[1:], ["cat"], PROMPTS)
    with pytest.raises(EvaluationError, match="7 of 7 text embeddings are zero or not finite"):
        zero_shot_classifier(lambda texts: embed(texts) * float("nan"), ["cat"], PROMPTS)


def test_a_batch_size_of_zero_is_an_error():
    with pytest.raises(EvaluationError, match="batch_size=0 must be at least 1"):
        zero_shot_classifier(embed, ["cat"], PROMPTS, batch_size=0)


def test_a_classifier_of_another_space_is_an_error():
    with pytest.raises(EvaluationError, match=r"are \(2, 3\) and the classifier \(2, 2\); expected"):
        classify(torch.ones(2, 3), torch.eye(2))
