"""Trains a DeCap decoder with `transformers.Trainer`, from text alone, and captions photos that nobody described.

    python examples/decap_text_only.py --quick
    python examples/decap_text_only.py --steps 1500 --output runs/decap --figure captions.png
    python examples/decap_text_only.py my-photos/*.jpg --texts my-sentences.txt --steps 3000 --output runs/mine

The bundled dual encoder lays sentences and photos in one space. A small decoder learns to turn the latent of a sentence
back into the sentence; no photo takes part. A photo's latent is then rewritten as a weighted mean of the latents of
sentences, the support memory, and decoded. The weightiest sentences are printed under each caption: they say why it is
what it is.

Without `--texts` it learns the sentences of the bundled support memory, captions of Flickr8k. After 300 steps it has
learned to write and hardly what to write about; its support sentences need no training. `--quick` takes 8 steps on 400
sentences. For real runs there is `linmap train decap-flickr8k`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from transformers import GPT2Config, Trainer, TrainingArguments

from linmap import DeCapModel, DeCapProcessor, SupportMemory, default_decap
from linmap.data import open_photo
from linmap.data.left_out import LeftOut
from linmap.data.sentences import read_sentences
from linmap.data.text_latents import TextLatentCollator
from linmap.decap.vocabulary import train_tokenizer
from linmap.dual.embedding import embed_texts
from linmap.dual.named import load_dual_encoder
from linmap.evaluation import plot_captions

PHOTOS = Path(__file__).parent / "photos"


def main() -> None:
    """Parses the command line, trains on text, captions photos through a memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path, default=sorted(PHOTOS.glob("*.jpg")))
    parser.add_argument("--texts", type=Path, nargs="+", help="sentences a line, or captions in JSON, CSV, Parquet")
    parser.add_argument("--dual-encoder", default="default", help="folder, Hub id, or open_clip:NAME/TAG")
    parser.add_argument("--vocabulary", type=int, default=4000, help="byte pairs learned from the text")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--bf16", action="store_true", help="mixed precision, for a graphics card")
    parser.add_argument("--figure", type=Path, help="also draw photos and captions into this PNG file")
    parser.add_argument("--output", type=Path, help="where the model with its memory goes; default: nowhere")
    parser.add_argument("--quick", action="store_true", help="8 steps on 400 sentences")
    arguments = parser.parse_args()

    # 1. Sentences. Each stands in the text once; every twentieth is kept apart, to measure the loss on.
    if arguments.texts:
        left_out = LeftOut()
        sentences = [sentence.text for sentence in read_sentences(arguments.texts, left_out)]
        if left_out.counts:
            print(f"Left out: {left_out}")
    else:
        sentences = list(SupportMemory.from_pretrained(default_decap(), subfolder="memory").captions)
    sentences = list(dict.fromkeys(sentences))[: 400 if arguments.quick else None]
    kept_apart = sentences[::20]
    learned = [text for number, text in enumerate(sentences) if number % 20] or sentences
    print(f"{len(learned):,} sentences to learn, {len(kept_apart):,} kept apart; for example: {learned[0]}")

    # 2. Their latents: one vector a sentence, from the frozen text tower, once.
    dual = load_dual_encoder(arguments.dual_encoder)
    latents, latents_apart = (embed_texts(dual.model, dual.processor, texts) for texts in (learned, kept_apart))

    # 3. A small decoder from scratch, whose vocabulary is learned from the text, behind one linear layer.
    torch.manual_seed(0)
    tokenizer = train_tokenizer(learned, arguments.vocabulary)
    decoder = GPT2Config(n_layer=4, n_head=4, n_embd=256, n_positions=64)
    model = DeCapModel.from_backbones(arguments.dual_encoder, decoder, tokenizer=tokenizer)
    processor = DeCapProcessor.for_model(model, tokenizer)
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(f"{count:,} weights learn; the dual encoder is frozen.")

    # 4. The Trainer, as for any transformers model. An example is a sentence and its latent.
    folder = arguments.output or Path(tempfile.mkdtemp(prefix="linmap-"))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=8 if arguments.quick else arguments.steps,
            per_device_train_batch_size=arguments.batch_size,
            per_device_eval_batch_size=arguments.batch_size,
            learning_rate=1e-3,
            lr_scheduler_type="cosine",
            warmup_steps=0.1,
            bf16=arguments.bf16,
            logging_steps=4 if arguments.quick else 50,
            save_strategy="no",
            remove_unused_columns=False,  # the collator takes sentences, not tensors
            label_names=["labels"],
            dataloader_pin_memory=torch.cuda.is_available(),
            use_cpu=not torch.accelerator.is_available(),  # several processes on a CPU know of each other only then
            report_to="none",
        ),
        data_collator=TextLatentCollator(processor),
        train_dataset=[{"text": text, "latent": latent} for text, latent in zip(learned, latents, strict=True)],
        eval_dataset=[{"text": text, "latent": latent} for text, latent in zip(kept_apart, latents_apart, strict=True)],
    )
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    after = trainer.evaluate()["eval_loss"]
    print(f"Loss on the sentences kept apart, nats a token: {before:.2f} before, {after:.2f} after")

    # 5. The support memory. It may hold other sentences than were learned: those of the domain of your photos.
    model.eval().memory = SupportMemory.from_latents(
        latents, learned, dtype="int8", text_tower=dual.model.text_fingerprint()
    )

    # 6. Photos, each with the sentences whose mean was decoded.
    pictures = [open_photo(photo) for photo in arguments.photos]
    inputs = processor(images=pictures, return_tensors="pt").to(model.device)
    output = model.generate(**inputs, return_support=True, num_support=3, max_new_tokens=20)
    captions = processor.caption(output.sequences)
    for photo, caption, support in zip(arguments.photos, captions, output.support, strict=True):
        print(f"\n{photo.name}: {caption}")
        for sentence in support:
            print(f"    {sentence.weight:.2f}  {sentence.caption}")

    # 7. A folder that `linmap caption --decap FOLDER --explain` takes, memory included; and a picture.
    if arguments.output:
        trainer.save_model()
        processor.save_pretrained(folder)
        print(f"\nSaved to {folder}")
    if arguments.figure:
        plot_captions(pictures, captions, arguments.figure)


if __name__ == "__main__":
    main()
