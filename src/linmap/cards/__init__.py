"""Model cards written from facts: what is frozen, what was trained on what, and what it scored beside its controls."""

from __future__ import annotations

from linmap.cards.card import model_card, write_model_card
from linmap.cards.stamp import card_for_repository, is_untouched
from linmap.cards.updating import update_model_card

__all__ = ["card_for_repository", "is_untouched", "model_card", "update_model_card", "write_model_card"]
