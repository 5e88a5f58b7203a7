"""Captions of the length people write (5 to 19 words), for a training batch that needs no data set."""

from __future__ import annotations

CAPTIONS = (
    "a dog runs across the grass",
    "two children are playing with a red ball on a sandy beach",
    "a man in a blue shirt rides his bicycle down a busy street",
    "a woman wearing a hat is standing in front of an old brick building",
    "a brown horse jumps over a white fence",
    "a group of people sit around a wooden table and eat dinner together in a small kitchen",
    "a boy on a skateboard",
    "a cat is sleeping on top of a television next to a plant",
    "a tennis player in white swings her racket at the ball while the crowd watches from the stands",
    "three young girls in colorful dresses blow out the candles on a cake",
    "a climber hangs from a rope",
    "a black and white dog leaps into the air to catch a yellow frisbee in the park",
)
