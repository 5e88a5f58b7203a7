"""The page: its tabs, its looks, and how it is served."""

from __future__ import annotations

from typing import Any

import gradio as gr

from linmap.cli.app_page.caption_tab import caption_tab
from linmap.cli.app_page.clippo_tab import clippo_tab
from linmap.cli.app_page.decap_tab import decap_tab
from linmap.cli.app_page.models import Models
from linmap.cli.app_page.questions_tab import questions_tab
from linmap.cli.app_page.uploads import LARGEST
from linmap.cli.inspect.page import STYLE

__all__ = ["LAUNCH", "make_page"]

WAITING = 32
"""Events that wait at most; the next one is told that the queue is full."""

DAY = 24 * 60 * 60

CSS = (
    STYLE
    + """
.gradio-container { max-width: 72rem !important; margin: 0 auto !important; }
#words .photo { max-width: 34rem; }
.wide { width: 0; min-width: 100%; overflow-x: auto; } /* scrolls, and widens nothing around it */
table.support { width: 100%; border-collapse: collapse; }
table.support td.number { min-width: 5rem; color: inherit;
  background: linear-gradient(#6366f155 0 0) no-repeat 0 0 / calc(var(--share) * 100%) 100%; }
table.heat { border-spacing: 2px; }
table.heat th { font-weight: normal; text-align: left; padding: .25rem .5rem; min-width: 7rem; }
table.heat th:not(:first-child) { min-width: 4.5rem; padding: .15rem; }
table.heat img { width: 100%; max-width: 8rem; aspect-ratio: 1; object-fit: cover; border-radius: .25rem; }
table.heat td { text-align: center; font-variant-numeric: tabular-nums; padding: .4rem;
  background-color: color-mix(in srgb, #6366f1 calc(var(--heat) * 80%), transparent); }
table.heat td.nearest { box-shadow: inset 0 0 0 2px currentcolor; font-weight: bold; }
.solved { align-items: center; }
.solved button { align-self: center; height: auto; }
.tower { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(14rem, 100%), 1fr)); gap: 1rem; }
.tower figure { margin: 0; }
.tower figcaption { overflow-wrap: anywhere; }
.patches { position: relative; aspect-ratio: 1; }
.patches img { width: 100%; height: 100%; image-rendering: pixelated; }
.patches::after { content: ""; position: absolute; inset: 0;
  background-image: linear-gradient(#f97316aa 1px, #0000 1px), linear-gradient(90deg, #f97316aa 1px, #0000 1px);
  background-size: calc(100% / var(--patches)) calc(100% / var(--patches)); }
.left-out { color: color-mix(in srgb, currentcolor 40%, #d97706); }
"""
)

FONTS = ["system-ui", "sans-serif"]
CODE_FONTS = ["ui-monospace", "monospace"]

LAUNCH: dict[str, Any] = {
    "theme": gr.themes.Default(primary_hue="indigo", font=FONTS, font_mono=CODE_FONTS).set(
        block_info_text_color="*neutral_600", input_placeholder_color="*neutral_500"
    ),
    "css": CSS,
    "max_file_size": LARGEST,
    "share": False,
    "inline": False,
    "quiet": True,
    "prevent_thread_lock": True,
    "show_error": True,
    "footer_links": [],
    "run_history": False,
    "ssr_mode": False,
    "pwa": False,
    "mcp_server": False,
    "enable_monitoring": False,
}
"""Everything that could leave the machine, or run elsewhere, is off; fonts are the reader's own."""


def make_page(models: Models) -> gr.Blocks:
    """The page, ready to be launched with `LAUNCH`.

    Args:
        models: The choice.
    """
    with gr.Blocks(title="linmap", analytics_enabled=False, delete_cache=(DAY, DAY)) as page:
        gr.Markdown("# linmap")
        with gr.Tab("Caption"):
            caption_tab(models)
        with gr.Tab("Questions"):
            questions_tab(models)
        with gr.Tab("DeCap"):
            decap_tab(models)
        with gr.Tab("CLIPPO"):
            clippo_tab(models)
    return page.queue(max_size=WAITING, default_concurrency_limit=1)
