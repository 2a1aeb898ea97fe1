"""MNIST to 99 % in one file: the recipe of `experiments/mnist_speed.py`, from images to accuracy.

    python -m experiments.recipes.mnist_speed_in_one_file FOLDER_WITH_MNIST

Network, convolutions, optimizer and data are those of the package; what is chosen, and what is done
with it, stands here. A test trains this and the experiment, and compares their parameters.
"""

import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from mnist3.data.protocols import split_digit_images
from mnist3.data.sources import load_source
from mnist3.models.cnn import CNN
from mnist3.models.trunk import Trunk
from mnist3.training.optimizer import create_optimizer

FLOAT32 = jnp.dtype("float32")
BATCH = 256
PART = 64  # images that a core takes at once: what they need fits into its cache
SMOOTHING = 0.1  # of the labels
VAL = 1 / 12  # of the 60,000 training images, left out as in every run of the package

# A 5x5 convolution with stride 2 that drops the border, and one 3x3 convolution between two
# max-pools: most of the operations are gone before there are many channels.
NETWORK = CNN(
    digits=1,
    classes=10,
    trunk=Trunk(24, 2, "VALID", channels=(32,), convolutions=1, dtype=FLOAT32),
    hidden=(96,),
    dtype=FLOAT32,
)
# Muon, whose rate falls from its peak to 0 from the first step on: there is but one epoch.
OPTIMIZER = ConfigDict(
    {
        "name": "muon",
        "learning_rate": 0.04,
        "momentum": 0.8,
        "weight_decay": 1e-4,
        "schedule": "one_cycle",
        "warmup": 0.0,
        "gradient_clip": 0.0,
    }
)


def train(images: np.ndarray, labels: np.ndarray, seed: int) -> optax.Params:
    """Returns the parameters after one epoch of uint8 [n, 28, 28] and int32 [n]."""
    mesh = Mesh(np.asarray(jax.devices()), "data")  # a device for each core
    steps = len(images) // BATCH
    share = BATCH // mesh.size
    part = int(np.gcd(share, PART)) if jax.default_backend() == "cpu" else share
    parts = BATCH // part
    optimizer = create_optimizer(OPTIMIZER, steps)

    def loss(params: optax.Params, rows: jax.Array, images: jax.Array, labels: jax.Array):
        logits = NETWORK.apply({"params": params}, images[rows].astype(jnp.float32) / 255)
        targets = optax.losses.smooth_labels(jax.nn.one_hot(labels[rows], 10), SMOOTHING)
        return optax.losses.softmax_cross_entropy(logits, targets).mean()

    def epoch(params_key: jax.Array, order_key: jax.Array, images: jax.Array, labels: jax.Array):
        params = NETWORK.init(params_key, jnp.zeros((1, *images.shape[1:])))["params"]
        order = jax.random.permutation(order_key, len(images))[: steps * BATCH]
        own = parts // mesh.size  # of this device, of each batch
        order = order.reshape(steps, parts, part)
        order = jax.lax.dynamic_slice_in_dim(order, own * jax.lax.axis_index("data"), own, axis=1)

        def step(state, batch: jax.Array):
            params, opt_state = state

            def add(total, rows):
                return jax.tree.map(jnp.add, total, jax.grad(loss)(params, rows, images, labels)), 0

            total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), batch)
            total = jax.lax.psum(total, "data")
            gradient = jax.tree.map(lambda leaf: leaf / parts, total)
            updates, opt_state = optimizer.update(gradient, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), 0

        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), order)
        return params

    # Shuffling and all steps are one compiled program, which the host does not interrupt.
    program = jax.shard_map(epoch, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False)
    params_key, epochs_key = jax.random.split(jax.random.key(seed))
    order_key, *_ = jax.random.split(jax.random.fold_in(epochs_key, 0), 3)
    return jax.block_until_ready(jax.jit(program)(params_key, order_key, images, labels))


@jax.jit
def read(params: optax.Params, images: jax.Array) -> jax.Array:
    """Returns the digit on each of uint8 [n, 28, 28]."""
    return NETWORK.apply({"params": params}, images.astype(jnp.float32) / 255).argmax(axis=-1)


def main(data_dir: str) -> None:
    """Trains on MNIST, reads its test images and prints the accuracy."""
    mnist = load_source("mnist", data_dir)
    rows = split_digit_images(mnist, shared=False, seed=0, val_fraction=VAL)
    started = time.perf_counter()
    params = train(mnist.images[rows["train"]], mnist.labels[rows["train"]], seed=0)
    seconds = time.perf_counter() - started
    right = read(params, mnist.images[rows["test"]]) == mnist.labels[rows["test"]]
    print(f"accuracy {right.mean():.4f} on test, trained in {seconds:.2f} s, compiling included")


if __name__ == "__main__":
    from mnist3 import runtime

    runtime.prepare_process()  # a device for each core
    main(sys.argv[1])
