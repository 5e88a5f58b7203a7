"""Batches: one layout with generation, the caption and one eos scored, everything else not."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import CLIPImageProcessorPil, PreTrainedTokenizerFast, Trainer, TrainingArguments

from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor
from linmap.data import CaptionCollator, UnreadableImages
from linmap.data.collation import IGNORED_LABEL
from linmap.errors import CaptionDataError, UnreadableImageError

IMAGE_TOKENS, WIDTH = 4, 6
BOS, EOS, PAD = 0, 1, 2


@pytest.fixture
def processor(tiny_tokenizer):
    def make(*, bos: bool = False, tokenizer=None, **kwargs) -> LinearVisionPrefixProcessor:
        return LinearVisionPrefixProcessor(
            image_processor=CLIPImageProcessorPil(size={"height": 16, "width": 16}, do_center_crop=False),
            tokenizer=tokenizer or tiny_tokenizer(bos=bos),
            num_image_tokens=IMAGE_TOKENS,
            **kwargs,
        )

    return make


def features(count: int = 1) -> torch.Tensor:
    return torch.arange(count * IMAGE_TOKENS * WIDTH, dtype=torch.float32).reshape(count, IMAGE_TOKENS, WIDTH)


def examples(*captions: str) -> list[dict]:
    return [
        {"image_features": row, "caption": text} for row, text in zip(features(len(captions)), captions, strict=True)
    ]


def prefix_model(processor, language_model) -> LinearVisionPrefixModel:
    return LinearVisionPrefixModel.from_backbones(
        None,
        language_model,
        feature_dim=WIDTH,
        features="grid",
        num_image_tokens=IMAGE_TOKENS,
        image_token_id=processor.image_token_id,
    )


def scored(batch, row: int = 0) -> list[int]:
    labels = batch["labels"][row]
    return labels[labels != IGNORED_LABEL].tolist()


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("prompt", [None, "", "Photo:"])
def test_a_row_is_what_generation_starts_from_then_caption_then_eos(processor, bos, prompt):
    made = processor(bos=bos)
    batch = CaptionCollator(made, prompt)(examples("a dog runs"))
    text = made.prompt if prompt is None else prompt
    start = made(image_features=features(), text=[text], return_tensors="pt")["input_ids"][0].tolist()
    caption = made.tokenizer(" a dog runs", add_special_tokens=False)["input_ids"]
    assert batch["input_ids"][0].tolist() == [*start, *caption, EOS]
    assert start[: 1 + bos] == ([BOS] if bos else []) + [made.image_token_id]
    assert batch["labels"][0].tolist() == [IGNORED_LABEL] * len(start) + [*caption, EOS]
    assert torch.equal(batch["image_features"], features())


def test_the_caption_reads_on_from_the_prompt(processor):
    made = processor(prompt="A picture of")
    batch = CaptionCollator(made)(examples("a dog runs"))
    assert made.tokenizer.decode(batch["input_ids"][0], skip_special_tokens=True) == "A picture of a dog runs"


def test_rows_are_padded_on_the_right_and_padding_is_not_scored(processor):
    batch = CaptionCollator(processor())(examples("a", "a brown horse jumps over a white fence"))
    length = int(batch["attention_mask"][0].sum())
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape
    assert length < batch["input_ids"].shape[1]
    assert batch["input_ids"][0, length:].unique().tolist() == [PAD]
    assert batch["attention_mask"][0].tolist() == [1] * length + [0] * (batch["input_ids"].shape[1] - length)
    assert batch["labels"][0, length:].unique().tolist() == [IGNORED_LABEL]
    assert all(batch[name].dtype == torch.int64 for name in ("input_ids", "labels", "attention_mask"))


def test_a_padding_id_that_is_the_eos_id_leaves_exactly_one_eos_scored(processor, tiny_tokenizer):
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    batch = CaptionCollator(processor(tokenizer=tokenizer))(examples("a", "a dog runs across the green grass"))
    assert tokenizer.pad_token_id == EOS
    assert [scored(batch, row).count(EOS) for row in (0, 1)] == [1, 1]
    assert [scored(batch, row)[-1] for row in (0, 1)] == [EOS, EOS]
    length = int(batch["attention_mask"][0].sum())
    assert batch["input_ids"][0, length - 1] == EOS
    assert batch["input_ids"][0, length:].unique().tolist() == [EOS]


def test_a_caption_of_one_token_is_scored_with_its_eos(processor):
    made = processor()
    (token,) = made.tokenizer(" a", add_special_tokens=False)["input_ids"]
    assert scored(CaptionCollator(made)(examples("a"))) == [token, EOS]


def test_the_longest_caption_of_a_batch_is_scored_with_its_eos_too(processor):
    batch = CaptionCollator(processor())(examples("a", "a dog runs across the green grass"))
    assert batch["labels"][1, -1] == EOS


def test_blanks_around_a_caption_do_not_matter(processor):
    collator = CaptionCollator(processor())
    assert scored(collator(examples("  a dog\n"))) == scored(collator(examples("a dog")))


def test_a_cut_caption_has_no_eos_and_one_that_just_fits_has(processor):
    made = processor()
    ids = made.tokenizer(" a dog runs across the grass", add_special_tokens=False)["input_ids"]
    text = examples("a dog runs across the grass")
    assert scored(CaptionCollator(made, max_caption_tokens=3)(text)) == ids[:3]
    assert scored(CaptionCollator(made, max_caption_tokens=len(ids))(text)) == [*ids, EOS]


@pytest.mark.parametrize("caption", ["", "  \n"])
def test_an_empty_caption_names_its_example(processor, caption):
    with pytest.raises(CaptionDataError, match="Example 1 of the batch has an empty caption; mend it or take it out"):
        CaptionCollator(processor())(examples("a dog", caption))


def test_an_empty_caption_names_its_photo(processor, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg")
    with pytest.raises(CaptionDataError, match=r"Example 0 of the batch \(.*a\.jpg\) has an empty caption"):
        CaptionCollator(processor())([{"image": tmp_path / "a.jpg", "caption": ""}])


def test_a_missing_caption_names_its_example(processor):
    with pytest.raises(CaptionDataError, match='Example 0 of the batch has the caption None; expected "caption": text'):
        CaptionCollator(processor())([{"image_features": features()[0], "caption": None}])


@pytest.mark.parametrize(
    ("vision", "message"),
    [
        ("image", 'No example of this batch has "image" or "image_features"; found the keys (none). '),
        ("image_features", 'Example 0 of the batch has no "caption"; found the keys image_features. '),
    ],
)
def test_columns_that_a_trainer_takes_away_are_missed_with_the_setting_that_keeps_them(
    processor, tiny_lm, tmp_path, vision, message
):
    made = processor()
    arguments = TrainingArguments(tmp_path, report_to="none", use_cpu=True, dataloader_pin_memory=False)
    example = {vision: Image.new("RGB", (4, 4)) if vision == "image" else features()[0], "caption": "a dog"}
    trainer = Trainer(prefix_model(made, tiny_lm("gpt2")), arguments, CaptionCollator(made), train_dataset=[example])
    advice = "the Trainer took them away: set remove_unused_columns=False in TrainingArguments."
    with pytest.raises(CaptionDataError, match=f"{re.escape(message)}If they were in the dataset, {advice}"):
        trainer.train()


@pytest.mark.parametrize("caption", ["a dog </s> runs", "a <image> dog"])
def test_a_caption_that_spells_a_special_token_names_its_example(processor, caption):
    with pytest.raises(CaptionDataError, match=r"Example 0 of the batch: caption .* reads as an eos or image token"):
        CaptionCollator(processor())(examples(caption))


def test_features_of_another_shape_name_their_example(processor):
    batch = [*examples("a dog"), {"image_features": torch.zeros(3, WIDTH), "caption": "a cat"}]
    with pytest.raises(CaptionDataError, match=r"Example 1 .* features of shape \(3, 6\), the first one \(4, 6\)"):
        CaptionCollator(processor())(batch)


def test_photos_and_features_are_not_mixed(processor):
    batch = [*examples("a dog"), {"image": Image.new("RGB", (4, 4)), "caption": "a cat"}]
    with pytest.raises(CaptionDataError, match='Every example of a batch needs "image", or every one "image_features"'):
        CaptionCollator(processor())(batch)


def test_an_empty_batch_is_an_error(processor):
    with pytest.raises(CaptionDataError, match="An empty batch"):
        CaptionCollator(processor())([])


def test_features_may_be_arrays(processor):
    batch = CaptionCollator(processor())([{"image_features": np.ones((4, 6), np.float16), "caption": "a dog"}])
    assert batch["image_features"].dtype == torch.float16


def test_photos_become_the_pixels_that_the_processor_makes(processor, tmp_path):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    picture.save(tmp_path / "a.png")
    made = processor()
    batch = CaptionCollator(made)(
        [{"image": tmp_path / "a.png", "caption": "a dog"}, {"image": picture, "caption": "a cat"}]
    )
    expected = made(images=[picture], return_tensors="pt")
    assert torch.equal(batch["pixel_values"][0], expected["pixel_values"][0])
    assert torch.equal(batch["pixel_values"][1], expected["pixel_values"][0])
    start = expected["input_ids"].shape[1]
    assert torch.equal(batch["input_ids"][:1, :start], expected["input_ids"])
    assert set(batch) == {"input_ids", "attention_mask", "labels", "pixel_values"}


def test_an_unreadable_photo_stops_by_default(processor, tmp_path):
    with pytest.raises(UnreadableImageError, match=r"nowhere\.jpg"):
        CaptionCollator(processor())([{"image": tmp_path / "nowhere.jpg", "caption": "a dog"}])


def test_an_unreadable_photo_within_the_limit_takes_its_caption_along(processor, tmp_path):
    unreadable = UnreadableImages(limit=1)
    made = processor()
    batch = CaptionCollator(made, unreadable=unreadable)(
        [
            {"image": tmp_path / "nowhere.jpg", "caption": "a dog"},
            {"image": Image.new("RGB", (4, 4)), "caption": "a cat"},
        ]
    )
    assert len(batch["input_ids"]) == len(batch["pixel_values"]) == 1
    assert made.tokenizer.decode(scored(batch), skip_special_tokens=True) == " a cat"
    assert len(unreadable.errors) == 1


def test_a_batch_without_a_readable_photo_is_an_error(processor, tmp_path):
    collator = CaptionCollator(processor(), unreadable=UnreadableImages(limit=5))
    with pytest.raises(CaptionDataError, match=r"None of the 1 photos of a batch can be read: .*nowhere\.jpg"):
        collator([{"image": tmp_path / "nowhere.jpg", "caption": "a dog"}])


def test_a_tokenizer_that_writes_the_blank_itself_gets_no_second_one(processor):
    vocabulary = {"<unk>": 0, "</s>": 1, "▁": 2, "a": 3, "▁a": 4, "d": 5, "▁d": 6}
    inner = Tokenizer(models.BPE(vocabulary, [("▁", "a"), ("▁", "d")], unk_token="<unk>"))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="</s>")
    batch = CaptionCollator(processor(tokenizer=tokenizer), prompt="")(examples("a d"))
    assert scored(batch) == [4, 6, 1]


def test_a_tokenizer_without_eos_is_refused(processor):
    inner = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    made = processor(tokenizer=PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="a"))
    with pytest.raises(CaptionDataError, match="has no eos token, so captions could never end"):
        CaptionCollator(made)


@pytest.mark.parametrize("family", ["gpt2", "gptj", "opt", "llama"])
def test_the_model_takes_the_batch_and_padding_does_not_change_the_loss(processor, tiny_lm, family):
    made = processor(bos=family in ("opt", "llama"))
    model = prefix_model(made, tiny_lm(family))
    collator = CaptionCollator(made)
    pair = examples("a dog", "a brown horse jumps over a white fence")
    with torch.inference_mode():
        together = model(**collator(pair)).loss
        alone = [model(**collator([example])).loss for example in pair]
    weights = torch.tensor([len(scored(collator([example]))) for example in pair], dtype=torch.float32)
    torch.testing.assert_close(together, (torch.stack(alone) * weights).sum() / weights.sum(), rtol=1e-4, atol=1e-5)


def test_a_batch_of_64_takes_a_few_milliseconds(processor):
    collator = CaptionCollator(processor())
    batch = [
        {"image_features": row, "caption": "a brown dog runs across the green grass with a red ball"}
        for row in torch.zeros(64, 9, 1280)
    ]
    collator(batch)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        collator(batch)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05  # 3 ms on a quiet core; the bound leaves room for a busy machine
