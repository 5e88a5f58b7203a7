"""The tab for captions: a photo, its caption, and the words that each part of the photo lies near to."""

from __future__ import annotations

from typing import Any

import gradio as gr

from linmap.cli.app_page.events import ONE_AT_A_TIME, cleared_with, told
from linmap.cli.app_page.models import Models
from linmap.cli.app_page.uploads import photo_input, uploaded
from linmap.cli.inspect.page import photo_markup, table_markup
from linmap.cli.models import CAPTIONER
from linmap.prefix.captioning import caption_photos
from linmap.prefix.inspection import InspectedPrefix, inspect_photo

__all__ = ["caption", "caption_tab", "inspected"]

ABOUT = """
Drop a photo. A frozen image encoder looks at it, one linear map turns what it sees into vectors that stand among words,
and a frozen language model reads them and writes ([LiMBeR](https://arxiv.org/abs/2209.15162)).
"""


def caption(models: Models, path: str | None, model: str | None, prompt: str | None) -> str:
    """The caption of an uploaded photo.

    Args:
        models: The choice.
        path: Of the photo.
        model: The captioner's word.
        prompt: Text the caption continues; empty takes the model's own.

    Raises:
        LinmapError: There is no photo, it cannot be read, or the model is not to be had.
    """
    photo = uploaded(path)
    (answer,) = caption_photos(*models.captioner(model), [photo], prompt=(prompt or "").strip() or None)
    if answer.error is not None:
        raise answer.error
    return answer.caption or ""


def inspected(models: Models, path: str | None, model: str | None, centred: bool) -> tuple[str, str, str]:
    """What the vectors of an uploaded photo lie near to: the words over the photo, a sentence about them, a table."""
    found = inspect_photo(*models.captioner(model), uploaded(path), centred=centred)
    return photo_markup(found), _summary(found), f'<div class="wide">{table_markup(found)}</div>'


def caption_tab(models: Models) -> None:
    """Lays the tab out."""
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column(scale=2):
            photo = photo_input()
            model = models.choice(CAPTIONER, "From the list, or a folder or Hub id of your own.")
            with gr.Accordion("More", open=False):
                prompt = gr.Textbox(
                    label="Beginning of the caption",
                    placeholder="the model's own",
                    info="A text that the caption continues.",
                )
                centred = gr.Checkbox(
                    label="Words without the mean word",
                    info="All words of a language model have a part in common; without it they lie further apart.",
                )
            button = gr.Button("Caption", variant="primary", elem_id="caption-button")
        with gr.Column(scale=3):
            written = gr.Textbox(label="Caption", interactive=False, elem_id="caption", lines=2)
            gr.Markdown("#### Nearest words of each part of the photo")
            words = gr.HTML(elem_id="words", apply_default_css=False, padding=False)
            summary = gr.Markdown(elem_id="summary")
            with gr.Accordion("All words with their cosines", open=False):
                table = gr.HTML(elem_id="words-table", apply_default_css=False, padding=False)

    def run_caption(*inputs: Any) -> str:
        return caption(models, *inputs)

    def run_inspected(*inputs: Any) -> tuple[str, str, str]:
        return inspected(models, *inputs)

    cleared_with(photo, [written, words, summary, table])
    gr.on(
        [photo.upload, button.click, prompt.submit],
        told(run_caption),
        [photo, model, prompt],
        written,
        api_name="caption",
        **ONE_AT_A_TIME,
    ).success(
        told(run_inspected), [photo, model, centred], [words, summary, table], api_name="inspect", **ONE_AT_A_TIME
    )
    centred.input(
        told(run_inspected), [photo, model, centred], [words, summary, table], api_visibility="private", **ONE_AT_A_TIME
    )


def _summary(found: InspectedPrefix) -> str:
    near = sum(words[0].cosine > found.chance for words in found.words)
    return (
        f"{near} of {len(found.words)} vectors have a word nearer than the nearest word of a random direction, which "
        f"is at a cosine of {found.chance:.2f}. Words in grey are no nearer than that and say nothing. The language "
        "model reads the vectors all the same: the caption comes from them, and not from the words."
    )
