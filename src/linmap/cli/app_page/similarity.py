"""How near photos and texts are to one another, as a heat-map."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from linmap.cli.app_page.models import Models
from linmap.cli.app_page.uploads import thumbnail
from linmap.cli.dual_encoders import Clippo, embed_texts

if TYPE_CHECKING:
    from torch import Tensor

    from linmap.data.images import EncodedPhoto

__all__ = ["heat_map", "similarities"]


def similarities(
    models: Models, word: str | None, photos: Sequence[EncodedPhoto], texts: Sequence[str]
) -> tuple[Tensor, str]:
    """Cosines between texts and photos, and what the model does not read of the texts.

    Args:
        models: The choice.
        word: Of a model that compares photos with texts.
        photos: Readable photos, at least one.
        texts: At least one.

    Returns:
        (texts, photos) float32, and a sentence, empty where every text is read in full.

    Raises:
        LinmapError: The model is not to be had.
    """
    from linmap.clippo.embedding import lost_text
    from linmap.contrastive.embedding import embed_photos

    matcher = models.matcher(word)
    seen = embed_photos(matcher.model, matcher.processor, photos).features
    cosines = embed_texts(matcher, texts) @ seen.T
    lost = lost_text(matcher.processor, texts) if isinstance(matcher, Clippo) else None
    if lost is None or not lost.texts:
        return cosines, ""
    unread = f"{lost.pieces:,} of {lost.of:,} {lost.unit} are not read"
    return cosines, f"{lost.texts} of {len(texts)} texts do not fit: {unread}."


def heat_map(cosines: Tensor, photos: Sequence[EncodedPhoto], texts: Sequence[str]) -> str:
    """The cosines as an HTML table, photos side by side; the nearest text of each photo is framed.

    Args:
        cosines: (texts, photos).
        photos: Of the columns.
        texts: Of the rows.
    """
    least, most = float(cosines.min()), float(cosines.max())
    nearest = cosines.argmax(dim=0).tolist()
    heads = "".join(f"<th>{_picture(photo)}</th>" for photo in photos)
    rows = []
    for row, text in enumerate(texts):
        cells = "".join(
            _cell(cosine, least, most, nearest=nearest[column] == row)
            for column, cosine in enumerate(cosines[row].tolist())
        )
        rows.append(f"<tr><th>{html.escape(text)}</th>{cells}</tr>")
    return f'<div class="wide"><table class="heat"><tr><th></th>{heads}</tr>{"".join(rows)}</table></div>'


def _cell(cosine: float, least: float, most: float, *, nearest: bool) -> str:
    share = (cosine - least) / (most - least) if most > least else 1.0
    mark = ' class="nearest"' if nearest else ""
    return f'<td{mark} style="--heat: {share:.3f}">{cosine:.2f}</td>'


def _picture(photo: EncodedPhoto) -> str:
    buffer = io.BytesIO()
    thumbnail(photo).save(buffer, format="JPEG", quality=85)
    source = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    name = html.escape(photo.name, quote=True)
    return f'<img src="{source}" alt="{name}" title="{name}">'
