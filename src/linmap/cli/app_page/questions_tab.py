"""The tab for questions about a photo, behind solved examples, beside the answer without the photo."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from linmap.cli.app_page.events import ONE_AT_A_TIME, cleared_with, told
from linmap.cli.app_page.models import Models
from linmap.cli.app_page.uploads import photo_input, thumbnail, uploaded
from linmap.cli.models import CAPTIONER
from linmap.data.encoding import encode_photos
from linmap.errors import CaptioningError, QuestionDataError
from linmap.prefix.few_shot import FewShotAnswerer, SolvedExample

__all__ = ["SolvedPhoto", "answers", "questions_tab", "with_example"]

ABOUT = """
Ask about a photo. Solved examples in front of the question show the language model what an answer looks like. The
**blind answer** is the control: the same language model reads the same texts without any photo. Where the two are
alike, the photo says nothing. (The bundled captioner answers no better than its blind control on DAQUAR.)
"""

LONGEST = 300
"""Characters of a question."""

NOTHING = "(no words; where the question had no room, the terminal says so)"


@dataclass(frozen=True)
class SolvedPhoto:
    """A solved example.

    Args:
        path: Of the photo.
        question: About it.
        answer: To it.
    """

    path: str
    question: str
    answer: str


def with_example(
    examples: Sequence[SolvedPhoto], path: str | None, question: str | None, answer: str | None
) -> list[SolvedPhoto]:
    """`examples` and one more.

    Raises:
        LinmapError: Its photo is missing or cannot be read.
        QuestionDataError: It has no question or no answer.
    """
    uploaded(path)
    question, answer = (question or "").strip(), (answer or "").strip()
    if not question or not answer:
        raise QuestionDataError("A solved example has a photo, a question and an answer: write both, then add it.")
    return [*examples, SolvedPhoto(str(path), question, answer)]


def answers(
    models: Models, path: str | None, model: str | None, question: str | None, examples: Sequence[SolvedPhoto]
) -> tuple[str, str]:
    """The answer to a question about an uploaded photo, and that of the language model without photos.

    Args:
        models: The choice.
        path: Of the photo.
        model: The captioner's word.
        question: About the photo.
        examples: In the order in which they are read; none for zero shots.

    Raises:
        LinmapError: A photo is missing or cannot be read, there is no question, or the model is not to be had.
    """
    question = (question or "").strip()
    if not question:
        raise QuestionDataError("There is no question yet: write one about the photo.")
    photos = [uploaded(path), *(uploaded(example.path) for example in examples)]
    captioner, processor = models.captioner(model)
    if captioner.encoder is None:
        raise CaptioningError("This model holds no image encoder: it reads features, not photos. Name one that does.")

    def encode(pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return captioner.encode_images(pixels.to(captioner.device))

    features = encode_photos(encode, processor.image_processor, photos).features
    solved = [
        SolvedExample(example.question, example.answer, feature)
        for example, feature in zip(examples, features[1:], strict=True)
    ]
    blind = [SolvedExample(example.question, example.answer) for example in examples]
    seeing = FewShotAnswerer(captioner, processor, solved, sighted=True)
    unseeing = FewShotAnswerer(captioner, processor, blind, sighted=False)
    ((_, seen),) = seeing.answer([question], features[:1])
    ((_, unseen),) = unseeing.answer([question])
    return seen or NOTHING, unseen or NOTHING


def questions_tab(models: Models) -> None:
    """Lays the tab out."""
    gr.Markdown(ABOUT)
    examples = gr.State([])
    with gr.Row():
        with gr.Column():
            photo = photo_input("The photo you ask about")
            question = gr.Textbox(label="Question", placeholder="what is on the table?", max_length=LONGEST)
            model = models.choice(CAPTIONER, "From the list, or a folder or Hub id of your own.")
            button = gr.Button("Ask", variant="primary", elem_id="ask-button")
            with gr.Row():
                seen = gr.Textbox(label="Answer", interactive=False, elem_id="answer")
                unseen = gr.Textbox(label="Blind answer: without the photo", interactive=False, elem_id="blind-answer")
        with gr.Column():
            gr.Markdown("#### Solved examples")

            @gr.render(inputs=examples, show_progress="hidden")
            def listed(solved: list[SolvedPhoto]) -> None:
                if not solved:
                    gr.Markdown("None yet: the model answers without having seen what an answer looks like.")
                for place, example in enumerate(solved):
                    _example(place, example, examples)

            with gr.Group():
                support = photo_input("Photo of a new example", height=200)
                support_question = gr.Textbox(label="Its question", max_length=LONGEST, elem_id="support-question")
                support_answer = gr.Textbox(label="Its answer", max_length=LONGEST, elem_id="support-answer")
            add = gr.Button("Add the example", elem_id="add-button")

    def run_add(solved: list[SolvedPhoto], *inputs: Any) -> tuple[list[SolvedPhoto], None, str, str]:
        return with_example(solved, *inputs), None, "", ""

    def run_ask(*inputs: Any) -> tuple[str, str]:
        return answers(models, *inputs)

    cleared_with(photo, [seen, unseen])
    new = [support, support_question, support_answer]
    gr.on(
        [add.click, support_answer.submit], told(run_add), [examples, *new], [examples, *new], api_visibility="private"
    )
    gr.on(
        [button.click, question.submit],
        told(run_ask),
        [photo, model, question, examples],
        [seen, unseen],
        api_visibility="private",
        **ONE_AT_A_TIME,
    )


def _example(place: int, example: SolvedPhoto, examples: gr.State) -> None:
    """One of the solved examples, with a button that takes it away."""
    with gr.Row(elem_classes="solved"):
        gr.Image(
            thumbnail(uploaded(example.path)),
            show_label=False,
            container=False,
            height=90,
            buttons=[],
            scale=1,
            min_width=90,
            interactive=False,
        )
        gr.HTML(_spelt(example), apply_default_css=False)
        remove = gr.Button("Remove", size="sm", scale=1, min_width=90)
    remove.click(_without(place), examples, examples, api_visibility="private")


def _without(place: int) -> Callable[[list[SolvedPhoto]], list[SolvedPhoto]]:
    return lambda solved: [example for number, example in enumerate(solved) if number != place]


def _spelt(example: SolvedPhoto) -> str:
    return f"<p><b>{html.escape(example.question)}</b><br>{html.escape(example.answer)}</p>"
