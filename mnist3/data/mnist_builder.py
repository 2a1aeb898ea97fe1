"""MNIST for TensorFlow Datasets, without TensorFlow: `tfds.data_source("mnist3_mnist")`.

TFDS's own `mnist` imports TensorFlow to unpack gzip. Importing this module registers ours.
"""

from collections.abc import Iterator

import numpy as np
import requests
import tensorflow_datasets as tfds
from absl import logging
from jaxtyping import UInt8
from tqdm import tqdm

from mnist3.data import idx
from mnist3.errors import UserError

_CONNECT_SECONDS = 10
_READ_SECONDS = 30
_CHUNK_BYTES = 1 << 16


class MnistBuilder(tfds.core.GeneratorBasedBuilder):
    """The 60,000 training and 10,000 test images of MNIST, in their official order.

    The four files are fetched here rather than by TFDS's download manager, which waits for
    ever on a silent server, asks a dead one again for over three minutes, and leaves a temporary
    folder behind a failed download. They are 11 MB in all, so they are checked in memory.

    Attributes:
        MIRRORS: folders on the web, in the order in which they are asked.
        FILES: file name to sha256: training images and labels, then test images and labels.
    """

    name = "mnist3_mnist"
    VERSION = tfds.core.Version("1.0.0")
    # The original server comes last, because it has long refused most downloads.
    MIRRORS = (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    )
    FILES = idx.MNIST_FILES

    def _info(self) -> tfds.core.DatasetInfo:
        info = tfds.core.DatasetInfo(
            builder=self,
            description="The MNIST database of handwritten digits, in its official order.",
            # Not `Image`, which needs TensorFlow to encode an array.
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(28, 28, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="http://yann.lecun.com/exdb/mnist/",
            disable_shuffling=True,
        )
        # TFDS's default, tfrecord, needs TensorFlow.
        info.set_file_format("array_record")
        return info

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager
        train_images, train_labels, test_images, test_labels = self._download()
        return {
            "train": self._generate_examples(train_images, train_labels),
            "test": self._generate_examples(test_images, test_labels),
        }

    def _generate_examples(
        self, images: UInt8[np.ndarray, "n 28 28"], labels: UInt8[np.ndarray, "n"]
    ) -> Iterator[tuple[int, dict]]:
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield index, {"image": image[:, :, None], "label": int(label)}

    def _download(self) -> list[UInt8[np.ndarray, "..."]]:
        """Returns the arrays of `FILES`, each from the first mirror that has it whole.

        Raises:
            UserError: no mirror was left for one of the files.
        """
        arrays = {}
        for mirror in self.MIRRORS:
            for name, sha256 in self.FILES.items():
                if name in arrays:
                    continue
                try:
                    arrays[name] = idx.decode(_fetch(mirror + name), sha256)
                except (requests.RequestException, ValueError) as error:
                    logging.warning("Gave up the mirror %s (%s: %s).", mirror, name, error)
                    break
        missing = [name for name in self.FILES if name not in arrays]
        if missing:
            raise UserError(
                f"MNIST could not be downloaded ({missing[0]} came from none of "
                f"{', '.join(self.MIRRORS)}; the log says why): try again with a network, or get "
                f"{', '.join(self.FILES)} by other means, put them into one folder and pass it "
                "as --data_dir"
            )
        return [arrays[name] for name in self.FILES]


def _fetch(url: str) -> bytes:
    """Returns the file at `url`, byte for byte as it is stored.

    Raises:
        requests.RequestException: the server is down, silent or slow, refused, or stopped early.
    """
    # A server that may compress would otherwise have requests unpack the .gz file itself.
    with requests.get(
        url,
        stream=True,
        timeout=(_CONNECT_SECONDS, _READ_SECONDS),
        headers={"Accept-Encoding": "identity"},
    ) as response:
        response.raise_for_status()
        size = int(response.headers.get("Content-Length", 0)) or None
        data = bytearray()
        with tqdm(total=size, unit="B", unit_scale=True, desc=url, disable=None) as progress:
            for chunk in response.iter_content(_CHUNK_BYTES):
                data += chunk
                progress.update(len(chunk))
    return bytes(data)
