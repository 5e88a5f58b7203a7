"""The tab for CLIPPO: what its tower sees of photos and texts, and how near they are to one another."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from linmap.cli.app_page.events import ONE_AT_A_TIME, cleared_with, told
from linmap.cli.app_page.models import MATCHER, Models
from linmap.cli.app_page.similarity import heat_map, similarities
from linmap.cli.app_page.tower import seen_by_tower, tower_markup
from linmap.cli.app_page.uploads import photos_input, uploaded_all
from linmap.errors import EvaluationError

if TYPE_CHECKING:
    from linmap.data.images import EncodedPhoto

__all__ = ["clippo_tab", "compared", "drawn"]

ABOUT = """
[CLIPPO](https://arxiv.org/abs/2212.08045) has one tower for photos and texts: a text is drawn, and read as a picture.
**What the tower sees** needs no weights. **How near they are** does, and no CLIPPO weights come along: type the folder
or Hub id of a model, such as `linmap convert clippo` or `linmap train clippo-flickr8k` makes. The list begins with the
bundled dual encoder, which compares photos with texts in the manner of CLIP.
"""

PHOTOS, TEXTS = 12, 32
"""As many are taken."""


def drawn(paths: Sequence[str] | None, text: str | None, model: str | None) -> str:
    """What the tower sees of uploaded photos and of each line of a text, as HTML.

    Raises:
        EvaluationError: There is neither a photo that can be read nor a text.
        LinmapError: The model is not there, or draws no texts.
    """
    photos, texts, notes = _given(paths, text)
    if not photos and not texts:
        raise EvaluationError(f"There is nothing to see yet: drop photos, or write texts.{_said(notes)}")
    return tower_markup(seen_by_tower(model, photos, texts)) + _notes(notes)


def compared(models: Models, paths: Sequence[str] | None, text: str | None, model: str | None) -> str:
    """The cosines between uploaded photos and each line of a text, as HTML.

    Raises:
        EvaluationError: There is no photo that can be read, or no text.
        LinmapError: The model is not to be had.
    """
    photos, texts, notes = _given(paths, text)
    if not photos or not texts:
        raise EvaluationError(
            f"{len(photos)} photos and {len(texts)} texts found; give at least one of each, a text a line."
            + _said(notes)
        )
    cosines, unread = similarities(models, model, photos, texts)
    return heat_map(cosines, photos, texts) + _notes([*notes, *([unread] if unread else [])])


def clippo_tab(models: Models) -> None:
    """Lays the tab out."""
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column(scale=2):
            photos = photos_input()
            texts = gr.Textbox(
                label="Texts, one a line",
                lines=4,
                max_lines=12,
                value="a dog on a beach\nein Hund am Strand\n海滩上的狗",
            )
            model = models.choice(
                MATCHER, "From the list, or a CLIPPO model, dual encoder, CLIP or SigLIP of your own: folder or Hub id."
            )
            with gr.Row():
                see = gr.Button("What the tower sees", elem_id="see-button")
                compare = gr.Button("How near they are", variant="primary", elem_id="compare-button")
        with gr.Column(scale=3):
            gr.Markdown("#### How near they are: the cosine of each text and photo")
            matrix = gr.HTML(elem_id="matrix", apply_default_css=False, padding=False)
            gr.Markdown("#### What the tower sees")
            pictures = gr.HTML(elem_id="tower", apply_default_css=False, padding=False)

    def run_compared(*inputs: Any) -> str:
        return compared(models, *inputs)

    cleared_with(photos, [matrix, pictures])
    see.click(told(drawn), [photos, texts, model], pictures, api_name="tower")
    compare.click(told(run_compared), [photos, texts, model], matrix, api_name="similarity", **ONE_AT_A_TIME)


def _given(paths: Sequence[str] | None, text: str | None) -> tuple[list[EncodedPhoto], list[str], list[str]]:
    """Photos and texts, and what is left out of them."""
    photos, errors = uploaded_all(paths, PHOTOS)
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    notes = [str(error) for error in errors]
    if len(lines) > TEXTS:
        notes.append(f"{len(lines) - TEXTS} texts are left out: {TEXTS} are taken at most.")
    return photos, lines[:TEXTS], notes


def _said(notes: Sequence[str]) -> str:
    return "".join(f" {note}" for note in notes)


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="left-out">{html.escape(note)}</p>' for note in notes)
