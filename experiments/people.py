"""Numbers of any length as people write them: photographed, scanned or drawn.

Trained on strips that are composed on the device from MNIST's digits alone. Mean of three seeds
(docs/results.md): of 115 pictures by 11 people one digit 0.970, several 0.810; 911 s of training
beside other work, two cores of an Intel Xeon (AVX-512):

    python launch.py --config=experiments/people.py
    python launch.py --mode=predict --workdir=RUN --images=FOLDER --output=FILE.csv

`experiments/people.py:source=digits` needs no files.
"""

from ml_collections import ConfigDict

from mnist3.config import parse_variants, strings


def get_config(argument: str = "") -> ConfigDict:
    """Variants: `source` (mnist, digits), `writing` (people; plain: digits apart, clean paper)."""
    variants = parse_variants(argument, source="mnist", writing="people")
    config = strings(variants.source)
    config.data.digits = (1, 12)
    config.data.val_fraction = 1 / 12
    config.data.train_examples = 32_000  # digit images are augmented anew after so many
    config.data.val_examples = 5_000
    config.data.test_examples = 10_000
    written = config.data.composition
    written.gap = (-0.3, 0.9)
    written.gap_jitter = 0.15
    written.size = (0.7, 1.2)
    written.growth = 0.35
    written.stretch = 0.3
    written.slant = 20.0
    written.slope = 5.0
    written.drift = 2.0
    written.upstrokes = 0.5
    written.bars = 0.4
    written.faint = 0.3
    written.uneven = 0.5
    written.separators = 0.3
    written.rules = 0.25
    written.boxes = 0.3
    written.cuts = 0.3
    written.neighbours = 0.15
    written.specks = 0.25
    written.shade = 0.2
    written.texture = 0.3
    written.blur = 0.3
    written.blocks = 0.1
    written.nothing = 0.05
    config.augmentation.rotation = 10.0
    config.augmentation.scale = 0.15
    config.augmentation.shear = 10.0
    config.augmentation.elastic = 0.8
    config.augmentation.stroke = 1.5
    config.training.epochs = 12
    config.training.batch_size = 64
    config.optimizer.learning_rate = 3e-3
    config.evaluation.wanted_error = 0.01  # val cannot show 0.001: some of its digits are hidden
    if variants.source == "digits":
        config.data.train_examples = 8_000
        config.data.val_examples = config.data.test_examples = 2_000
        config.training.epochs = 3
    if variants.writing == "plain":  # as `strict` spaces and distorts digits
        config.data.digits = (1, 10)
        config.data.width = 384
        config.data.composition = strings(variants.source).data.composition
        config.data.composition.gap = (0.6, 0.8)
        config.augmentation.update(strings(variants.source).augmentation)
        config.augmentation.rotation = config.augmentation.shear = 15.0
        config.augmentation.scale = 0.15
    return config
