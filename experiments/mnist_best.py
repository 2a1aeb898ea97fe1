"""One MNIST digit (K = 1), as well as ten minutes on two cores allow.

Not measured yet.

    python launch.py --config=experiments/mnist_best.py --config.seed=0
"""

from ml_collections import ConfigDict

from experiments.mnist import get_config as mnist
from mnist3.config import parse_variants


def get_config(argument: str = "") -> ConfigDict:
    """No variants."""
    parse_variants(argument)
    config = mnist()
    config.training.epochs = 18
    return config
