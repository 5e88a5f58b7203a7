"""Fine-tunes a CLIPPO tower to classify sentences, or pairs of them, drawn as pictures: GLUE, with the Trainer.

    python examples/finetune_glue_by_drawing.py --quick
    python examples/finetune_glue_by_drawing.py --clippo runs/clippo --task rte --output runs/rte \
        --train RTE/train.tsv --validation RTE/dev.tsv --columns sentence1,sentence2 --label label

Files are GLUE's own: tab-separated, with a heading, no quotes. Without them it learns whether two words are the same,
which neither word alone tells: chance and the most frequent class are right in half of the cases.
Scores come from `evaluate`, out of linmap's own module, so that nothing is fetched.
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from collections import Counter
from pathlib import Path

import evaluate
import numpy as np
import torch
from transformers import EvalPrediction, Trainer, TrainingArguments

from linmap import ClippoConfig, ClippoForSequenceClassification, ClippoProcessor
from linmap.evaluation import metric_path
from linmap.evaluation.glue import GLUE_TASKS

WORDS = ["dog", "cat", "tree", "house", "river", "stone"]
Row = dict[str, str]


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clippo", help="folder of a trained CLIPPO model; default: a small untrained tower")
    parser.add_argument("--task", default="mrpc", choices=list(GLUE_TASKS), help="says what is scored")
    parser.add_argument("--train", type=Path, help="TSV to learn from; default: pairs of words")
    parser.add_argument("--validation", type=Path, help="TSV to score on")
    parser.add_argument("--columns", default="sentence1,sentence2", help="of one sentence, or of two")
    parser.add_argument("--label", default="label", help="column of the classes, or for stsb of the score")
    parser.add_argument("--epochs", type=float, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="about 1e-4 for a trained tower")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="mixed precision")
    parser.add_argument("--output", type=Path, help="where the model goes; default: nowhere")
    parser.add_argument("--quick", action="store_true", help="two steps")
    arguments = parser.parse_args()
    if (arguments.train is None) != (arguments.validation is None):
        parser.error("--train and --validation go together")
    torch.manual_seed(arguments.seed)

    # 1. Rows of one or two sentences and a label. Classes are counted in the training rows.
    columns = arguments.columns.split(",")
    if arguments.train:
        train, validation = (
            _rows(path, [*columns, arguments.label]) for path in (arguments.train, arguments.validation)
        )
    else:
        columns, arguments.label = ["sentence1", "sentence2"], "label"
        train, validation = _same_words(480, seed=1), _same_words(200, seed=2)
    regression = arguments.task == "stsb"
    classes = [] if regression else sorted({row[arguments.label] for row in train})
    if unknown := {row[arguments.label] for row in validation} - set(classes) if classes else None:
        parser.error(f"{arguments.validation} has the classes {sorted(unknown)}, which are not in {arguments.train}")

    # 2. The tower of a CLIPPO model, and a new linear layer.
    named = (
        {"num_labels": 1, "problem_type": "regression"}
        if regression
        else {"id2label": dict(enumerate(classes)), "label2id": {name: number for number, name in enumerate(classes)}}
    )
    named["classifier_dropout"] = arguments.dropout
    if arguments.clippo:
        model = ClippoForSequenceClassification.from_pretrained(arguments.clippo, **named)
        processor = ClippoProcessor.from_pretrained(arguments.clippo)
    else:
        sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
        model = ClippoForSequenceClassification(ClippoConfig(image_size=64, projection_dim=64, **sizes, **named))
        processor = ClippoProcessor.for_model(model)

    # 3. One picture a row: the second sentence below the first.
    def collate(rows: list[Row]) -> dict[str, torch.Tensor]:
        text, *pair = ([row[column] for row in rows] for column in columns)
        inputs = processor(text=text, text_pair=pair[0] if pair else None, return_tensors="pt")
        labels = [float(row[arguments.label]) if regression else classes.index(row[arguments.label]) for row in rows]
        return {**inputs, "labels": torch.tensor(labels)}

    # 4. The task's scores, from `evaluate`.
    metric = evaluate.load(metric_path("glue"), arguments.task)

    def scores(prediction: EvalPrediction) -> dict[str, float]:
        logits = np.asarray(prediction.predictions)
        found = logits[:, 0] if regression else logits.argmax(axis=-1)
        return metric.compute(predictions=found, references=prediction.label_ids)

    folder = arguments.output or Path(tempfile.mkdtemp(prefix="linmap-"))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder / "checkpoints"),
            num_train_epochs=arguments.epochs,
            max_steps=2 if arguments.quick else -1,
            per_device_train_batch_size=arguments.batch_size,
            per_device_eval_batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            warmup_steps=0.1,
            bf16=arguments.bf16,
            use_cpu=not torch.cuda.is_available(),
            eval_strategy="no" if arguments.quick else "epoch",
            save_strategy="no",
            logging_steps=50,
            remove_unused_columns=False,  # the collator takes sentences, not tensors
            label_names=["labels"],
            dataloader_pin_memory=torch.cuda.is_available(),
            report_to="none",
            seed=arguments.seed,
        ),
        data_collator=collate,
        train_dataset=train,
        eval_dataset=validation,
        compute_metrics=scores,
    )
    trainer.train()

    # 5. The scores beside those of the most frequent class, which reads nothing.
    found = trainer.evaluate()
    names = [*GLUE_TASKS[arguments.task], "glue"]
    print(
        f"{arguments.task}, {len(validation)} rows: "
        + ", ".join(f"{name} {found[f'eval_{name}']:.1f}" for name in names)
    )
    if not regression:
        often = Counter(row[arguments.label] for row in train).most_common(1)[0][0]
        right = [classes.index(row[arguments.label]) for row in validation]
        control = metric.compute(predictions=[classes.index(often)] * len(right), references=right)
        print(f"the most frequent class ({often}): " + ", ".join(f"{name} {control[name]:.1f}" for name in names))
    if arguments.output:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        print(f"Saved to {folder}")


def _rows(path: Path, columns: list[str]) -> list[Row]:
    """The rows of a TSV as GLUE has them; damaged ones are counted and named."""
    rows, damaged = [], []
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE), start=2):
            if all(isinstance(row.get(column), str) for column in columns):
                rows.append({column: row[column] for column in columns})
            else:
                damaged.append(number)
    if damaged:
        print(f"{path}: {len(damaged)} lines lack a column and are left out, the first is line {damaged[0]}")
    if not rows:
        raise SystemExit(f"{path} has no row with the columns {', '.join(columns)}; name them: --columns, --label")
    return rows


def _same_words(count: int, seed: int) -> list[Row]:
    """Half of the pairs hold the same word twice."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        one, other = draw.sample(WORDS, 2)
        rows.append({"sentence1": one, "sentence2": other if number % 2 else one, "label": "01"[number % 2 == 0]})
    return rows


if __name__ == "__main__":
    main()
