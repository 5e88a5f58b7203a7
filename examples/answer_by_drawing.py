"""Fine-tunes a CLIPPO tower to answer questions drawn above photos, with `transformers.Trainer`.

    python examples/answer_by_drawing.py --quick
    python examples/answer_by_drawing.py --clippo runs/clippo --questions qa.json --images photos/ --output runs/vqa
    linmap evaluate vqa --clippo runs/vqa --data runs/vqa/questions.json --images photos/ \
        --split "held out" --support-split train

Without `--questions` it learns eight questions about four example photos by heart, which shows the moving parts and
nothing more. Photos are held out, never questions alone: OUTPUT/questions.json says which question is in which split.
`--blind` trains the control that never sees a photo.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import EvalPrediction, Trainer, TrainingArguments

from linmap import ClippoConfig, ClippoForQuestionAnswering, ClippoProcessor
from linmap.clippo.question_answering import answer_labels
from linmap.clippo.resolution import see_images_of
from linmap.data.question_batches import QuestionCollator, hold_out_photos
from linmap.data.questions import VisualQuestion, read_questions
from linmap.evaluation.closed_answers import AnswerSet

PHOTOS = Path(__file__).parent / "photos"
EXAMPLES = [
    ("tennis.jpg", "what is played?", "tennis"),
    ("tennis.jpg", "what colour is the ground?", "orange"),
    ("birthday.jpg", "how many people are at the table?", "4"),
    ("birthday.jpg", "what is on the table?", "cake"),
    ("street.jpg", "what colour is the car?", "blue"),
    ("street.jpg", "what is behind the man?", "car"),
    ("cat.jpg", "what eats from the bowl?", "cat"),
    ("cat.jpg", "what colour is the bird?", "green"),
]


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clippo", help="folder of a trained CLIPPO model; default: a small untrained tower")
    parser.add_argument("--questions", type=Path, help="questions file, as linmap evaluate vqa takes it")
    parser.add_argument("--annotations", type=Path, help="answers of VQAv2")
    parser.add_argument("--images", type=Path, help="folder of the photos")
    parser.add_argument("--split", help="split to learn from; default: all questions")
    parser.add_argument("--held-out", type=float, default=0.2, help="share of photos that are never learned from")
    parser.add_argument("--image-size", type=int, help="side of the pictures; default: the tower's own")
    parser.add_argument("--at-least", type=int, default=2, help="questions an answer must have been given to")
    parser.add_argument("--at-most", type=int, default=3129, help="answers to choose among")
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="mixed precision, on a CPU twice as fast, too")
    parser.add_argument("--workers", type=int, default=0, help="processes that open photos and draw")
    parser.add_argument("--blind", action="store_true", help="the control: no photo below the question")
    parser.add_argument("--output", type=Path, help="where the model goes; default: nowhere")
    parser.add_argument("--quick", action="store_true", help="two steps")
    arguments = parser.parse_args()
    if arguments.questions and not arguments.images:
        parser.error("--questions needs --images, the folder of its photos")
    torch.manual_seed(arguments.seed)

    # 1. Questions, split by photo: a photo that is asked about in the end was never seen in training. One photo in ten
    #    of the others chooses the epoch.
    if arguments.questions:
        questions = read_questions(
            arguments.questions, arguments.images, arguments.split, annotations=arguments.annotations
        )
        learned, held_out = hold_out_photos(questions, arguments.held_out, arguments.seed)
        train, validation = hold_out_photos(learned, 0.1, arguments.seed)
    else:
        train = [VisualQuestion(q, PHOTOS / file, file, q, (answer,), answer) for file, q, answer in EXAMPLES]
        validation, held_out = train, []

    # 2. The answers to choose among: those of training questions alone. Others cannot be given, so they are not asked
    #    for in training; in the measurement they count as wrong.
    answers = AnswerSet.given(
        [one.answers for one in train], arguments.at_least if arguments.questions else 1, arguments.at_most
    )
    soft = any(len(one.answers) > 1 for one in train)
    train_set, validation_set = (_examples(part, answers, blind=arguments.blind) for part in (train, validation))
    print(f"{len(train_set)} of {len(train)} training questions have one of {len(answers.answers)} answers.")

    # 3. The tower of a CLIPPO model, and a new linear layer over the answers.
    labels = answer_labels(answers.answers)
    dropout = {"classifier_dropout": arguments.dropout}
    if arguments.clippo:
        model = ClippoForQuestionAnswering.from_pretrained(arguments.clippo, **labels, **dropout)
    else:
        model = ClippoForQuestionAnswering(_small_config(**labels, **dropout))
    if arguments.image_size:
        see_images_of(model.clippo, arguments.image_size)
    # Questions are drawn whatever the tower's texts were: a model that reads tokens needs no tokenizer for this task.
    processor = ClippoProcessor.for_questions(model)

    # 4. The Trainer, as for any transformers model.
    folder = arguments.output or Path(tempfile.mkdtemp(prefix="linmap-"))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder / "checkpoints"),
            num_train_epochs=arguments.epochs,
            max_steps=2 if arguments.quick else -1,
            per_device_train_batch_size=min(arguments.batch_size, len(train_set)),
            per_device_eval_batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            weight_decay=arguments.weight_decay,
            lr_scheduler_type="cosine",
            warmup_steps=0.1,
            bf16=arguments.bf16,
            use_cpu=not torch.cuda.is_available(),
            eval_strategy="no" if arguments.quick else "epoch",
            save_strategy="no" if arguments.quick else "epoch",
            save_total_limit=1,
            load_best_model_at_end=not arguments.quick,
            metric_for_best_model="accuracy",
            logging_steps=20,
            remove_unused_columns=False,  # the collator takes photos and questions, not tensors
            label_names=["labels"],
            dataloader_num_workers=arguments.workers,
            dataloader_pin_memory=torch.cuda.is_available(),
            report_to="none",
            seed=arguments.seed,
        ),
        data_collator=QuestionCollator(processor, answers.targets, soft=soft),
        train_dataset=train_set,
        eval_dataset=validation_set,
        compute_metrics=_accuracy,
    )
    trainer.train()

    # 5. A folder that `linmap evaluate vqa --clippo` takes, with the split beside the model.
    if arguments.output:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        splits = {"train": train, "validation": validation, "held out": held_out}
        _write_splits(folder / "questions.json", splits, arguments.images or PHOTOS)
        print(f"Saved to {folder}")
    scores = trainer.evaluate()
    print(f"Accuracy on {len(validation_set)} validation questions: {100 * scores['eval_accuracy']:.1f} %")


def _examples(questions: list[VisualQuestion], answers: AnswerSet, *, blind: bool) -> list[dict[str, object]]:
    worth = answers.targets([one.answers for one in questions]).max(axis=1)
    return [
        {"image": None if blind else one.image, "question": one.question, "answers": one.answers}
        for one, best in zip(questions, worth, strict=True)
        if best > 0
    ]


def _accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """Share of right answers; of soft labels, what the chosen answers are worth."""
    chosen, labels = prediction.predictions.argmax(axis=-1), prediction.label_ids
    right = chosen == labels if labels.ndim == 1 else np.take_along_axis(labels, chosen[:, None], 1)
    return {"accuracy": float(np.mean(right))}


def _small_config(**labels: object) -> ClippoConfig:
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 256}
    return ClippoConfig(image_size=112, projection_dim=64, **sizes, **labels)


def _write_splits(path: Path, splits: dict[str, list[VisualQuestion]], images: Path) -> None:
    records = [
        {
            "file": str(Path(str(one.image)).relative_to(images)),
            "question": one.question,
            "answers": list(one.answers),
            "split": split,
        }
        for split, part in splits.items()
        for one in part
    ]
    path.write_text(json.dumps(records, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
