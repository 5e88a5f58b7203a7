"""Asks a captioner questions about photos behind a few solved examples, beside the same language model blind.

    python examples/few_shot_vqa.py
    python examples/few_shot_vqa.py --questions daquar.json --images photos/ --shots 0,1,2,4 --limit 50
    python examples/few_shot_vqa.py --model runs/mine --shots 2

The model was trained to describe photos and never to answer questions. The paper asks it all the same (section 4.2):
solved examples stand in front, `<image>Q: what is on the desk? A: lamp`, then the question with its photo. The blind
control reads the same words without the photos. What photos are worth is the difference of the two in one column; what
rises along a row is the form of an answer, which the examples teach.

Without `--questions` it asks about the four example photos, each behind examples about the other three: too few to mean
anything. `--quick` takes one number of shots. With the VQAv2 score, several sets of examples and their spread:
`linmap evaluate vqa`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from linmap import LinearVisionPrefixModel, LinearVisionPrefixProcessor, default_model
from linmap.data.encoding import encode_photos
from linmap.data.questions import VisualQuestion, read_questions
from linmap.data.support_sets import SupportSet, draw_supports
from linmap.evaluation import exact_match
from linmap.prefix.few_shot import FewShotAnswerer, SolvedExample

PHOTOS = Path(__file__).parent / "photos"
EXAMPLES = [
    ("tennis.jpg", "what sport is this?", "tennis"),
    ("tennis.jpg", "what is in his hand?", "racket"),
    ("birthday.jpg", "what is on the table?", "cake"),
    ("birthday.jpg", "how many people are there?", "4"),
    ("street.jpg", "what colour is the car?", "blue"),
    ("street.jpg", "who leans on the post?", "man"),
    ("cat.jpg", "what animal is white?", "cat"),
    ("cat.jpg", "what colour is the bird?", "green"),
]


def main() -> None:
    """Parses the command line, asks with photos and blind, prints answers and scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or Hub id of a captioner; default: the bundled one")
    parser.add_argument("--questions", type=Path, help="JSON list of file, question, answer; or VQAv2's questions")
    parser.add_argument("--annotations", type=Path, help="VQAv2's answers")
    parser.add_argument("--images", type=Path, help="folder of the photos")
    parser.add_argument("--split", help="only questions of this split")
    parser.add_argument("--shots", default="0,1,2", help="numbers of solved examples, separated by commas")
    parser.add_argument("--limit", type=int, help="ask about so many photos; default: all that no example is about")
    parser.add_argument("--seed", type=int, default=0, help="of the draw of examples")
    parser.add_argument("--output", type=Path, help="also write answers.json into this folder")
    parser.add_argument("--quick", action="store_true", help="only the last number of shots")
    arguments = parser.parse_args()
    if arguments.questions and not arguments.images:
        parser.error("--questions needs --images, the folder of its photos")
    shots = [int(number) for number in arguments.shots.split(",")]
    shots = shots[-1:] if arguments.quick else shots

    # 1. Sets of solved examples, each with the questions that are asked behind it. No question is about the photo of
    #    an example, and every number of shots asks the same questions.
    if arguments.questions:
        asked = read_questions(
            arguments.questions, arguments.images, arguments.split, annotations=arguments.annotations
        )
        supports = draw_supports(asked, max(shots), seed=arguments.seed, limit=arguments.limit)
    else:
        asked = [VisualQuestion(q, PHOTOS / file, file, q, (answer,), answer) for file, q, answer in EXAMPLES]
        supports = _leaving_one_out(asked)

    # 2. The captioner, and the features of every photo, once: examples and questions share them.
    name = arguments.model or default_model()
    model = LinearVisionPrefixModel.from_pretrained(name)
    processor = LinearVisionPrefixProcessor.from_pretrained(name)
    needed = [question for support in supports for question in (*support.examples, *support.questions)]
    photos = {question.photo: question.image for question in needed}
    encoded = encode_photos(model.encode_images, processor.image_processor, list(photos.values()))
    feature_of = dict(zip(photos, encoded.features, strict=True))

    # 3. Each question twice behind the same examples: with photos, and without any. Decoding is greedy.
    given = {}
    for count in shots:
        for sighted in (True, False):
            answers: dict[str, str] = {}
            for support in supports:
                solved = [
                    SolvedExample(one.question, one.shown, feature_of[one.photo] if sighted else None)
                    for one in support.examples[:count]
                ]
                answerer = FewShotAnswerer(model, processor, solved, sighted=sighted)
                questions = support.questions
                features = torch.stack([feature_of[one.photo] for one in questions]) if sighted else None
                for place, answer in answerer.answer([one.question for one in questions], features):
                    answers[questions[place].key] = answer
            given[count, sighted] = answers

    # 4. Some answers, and the share that is right.
    scored = [question for support in supports for question in support.questions]
    for one in scored[:: max(1, len(scored) // 8)][:8]:
        seen, blind = (given[shots[-1], sighted][one.key] for sighted in (True, False))
        photo = Path(one.photo).name
        print(f"{photo}: {one.question} {one.shown!r}; {shots[-1]} shots: model {seen!r}, blind {blind!r}")
    print(f"\nExact match in percent, {len(scored)} questions" + " " * 8 + "".join(f"{n:>4} shots" for n in shots))
    for sighted, row in ((True, "model"), (False, "blind")):
        values = [
            exact_match([given[count, sighted][one.key] for one in scored], [one.answers for one in scored]).value
            for count in shots
        ]
        print(f"{row:>44}" + "".join(f"{value:10.1f}" for value in values))
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        kept = {f"{count} shots, {'model' if seen else 'blind'}": found for (count, seen), found in given.items()}
        (arguments.output / "answers.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")


def _leaving_one_out(questions: list[VisualQuestion]) -> list[SupportSet]:
    """For each photo its questions, behind one question about each of the others."""
    supports = []
    for photo in dict.fromkeys(question.photo for question in questions):
        others = {question.photo: question for question in questions if question.photo != photo}
        about = tuple(question for question in questions if question.photo == photo)
        supports.append(SupportSet(tuple(others.values()), about))
    return supports


if __name__ == "__main__":
    main()
