"""The tab for DeCap: a photo, its caption, and the sentences of the memory that the caption was made of."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import gradio as gr

from linmap.cli.app_page.events import ONE_AT_A_TIME, cleared_with, told
from linmap.cli.app_page.models import Models
from linmap.cli.app_page.uploads import photo_input, uploaded
from linmap.cli.models import DECAP
from linmap.cli.outcomes import NO_SUPPORT
from linmap.decap.captioning import caption_photos
from linmap.decap.configuration import STRATEGIES
from linmap.decap.strategies import SupportSentence

__all__ = ["decap_tab", "explained_caption"]

ABOUT = """
This decoder learned from text alone ([DeCap](https://arxiv.org/abs/2303.03032)). A photo becomes a weighted mean of
sentences, and the mean is decoded. The sentences below the caption are the ones with the largest weights: they say why
the caption is what it is.
"""

OWN = "the model's own"
STRATEGY_LABELS = {
    "projection": "projection: a weighted mean of the memory's sentences (the paper's)",
    "nearest": "nearest: the nearest sentence's latent, decoded",
    "visual": "visual: the photo's own latent, decoded",
    "retrieval": "retrieval: the nearest sentence as it stands",
}


def explained_caption(
    models: Models, path: str | None, model: str | None, strategy: str | None, count: int
) -> tuple[str, Sequence[SupportSentence]]:
    """The caption of an uploaded photo, and the sentences behind it.

    Args:
        models: The choice.
        path: Of the photo.
        model: The DeCap model's word.
        strategy: One of `STRATEGIES`; empty takes the model's own.
        count: Sentences, at most.

    Raises:
        LinmapError: There is no photo, it cannot be read, or the model is not to be had.
    """
    photo = uploaded(path)
    loaded = models.decap(model)
    (answer,) = caption_photos(*loaded, [photo], strategy=strategy or None, num_support=int(count))
    if answer.error is not None:
        raise answer.error
    return answer.caption or "", answer.support


def decap_tab(models: Models) -> None:
    """Lays the tab out."""
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column(scale=2):
            photo = photo_input()
            model = models.choice(DECAP, "From the list, or a folder or Hub id of your own.")
            strategy = gr.Dropdown(
                [(OWN, ""), *((STRATEGY_LABELS[name], name) for name in STRATEGIES)],
                value="",
                label="Strategy",
                info="What is decoded for the photo.",
            )
            count = gr.Slider(1, 20, value=5, step=1, label="Sentences shown")
            button = gr.Button("Caption", variant="primary", elem_id="decap-button")
        with gr.Column(scale=3):
            written = gr.Textbox(label="Caption", interactive=False, elem_id="decap-caption", lines=2)
            gr.Markdown("#### The sentences behind it")
            sentences = gr.HTML(elem_id="support", apply_default_css=False, padding=False)

    def run(*inputs: Any) -> tuple[str, str]:
        caption, support = explained_caption(models, *inputs)
        return caption, support_markup(support)

    cleared_with(photo, [written, sentences])
    gr.on(
        [photo.upload, button.click],
        told(run),
        [photo, model, strategy, count],
        [written, sentences],
        api_name="decap",
        **ONE_AT_A_TIME,
    )


def support_markup(support: Sequence[SupportSentence]) -> str:
    """Sentences with their weights as an HTML table, a bar behind each weight."""
    if not support:
        return f"<p>{html.escape(NO_SUPPORT)}</p>"
    rows = "".join(
        f'<tr><td class="number" style="--share: {one.weight:.4f}">{one.weight:.1%}</td>'
        f"<td>{html.escape(one.caption)}</td></tr>"
        for one in support
    )
    return f'<table class="support"><tr><th>weight</th><th>sentence of the memory</th></tr>{rows}</table>'
