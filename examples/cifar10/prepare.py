"""Turns CIFAR-10, as its authors distribute it for Python, into the arrays that `pic` reads.

    python examples/cifar10/prepare.py cifar-10-batches-py DIRECTORY

Writes `calibration_{x,y}.npy`, 2,000 images drawn with a fixed seed from the five training batches,
and `test_{x,y}.npy`, all of the test batch: images u8 [n,3,32,32], labels i64. Pixels stay 0..255:
`pic compile` is told how to normalise them.
"""

import argparse
import pickle
from pathlib import Path

import numpy as np

CALIBRATION = 2000


class Arrays(pickle.Unpickler):
    """Reads the numpy arrays of a batch; a pickle may otherwise call anything."""

    NEEDED = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module, name):
        # The module's name since numpy 2.
        if (module.replace("numpy._core", "numpy.core"), name) not in self.NEEDED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a batch of images")
        return super().find_class(module, name)


def load_batch(path):
    """Images u8 [n,3,32,32] and labels i64 [n] of one file."""
    with path.open("rb") as file:
        batch = Arrays(file, encoding="bytes").load()
    x, y = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], dtype=np.int64)
    if x.dtype != np.uint8 or x.shape != (len(y), 3 * 32 * 32) or not np.isin(y, range(10)).all():
        raise SystemExit(f"{path} is not a CIFAR-10 batch: {x.dtype} {x.shape}, {len(y)} labels")
    return x.reshape(-1, 3, 32, 32), y


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("batches", type=Path, help="the folder with data_batch_1 to data_batch_5 and test_batch")
    parser.add_argument("output", type=Path, help="where the arrays go")
    arguments = parser.parse_args()

    training = [load_batch(arguments.batches / f"data_batch_{i}") for i in range(1, 6)]
    x, y = (np.concatenate(parts) for parts in zip(*training, strict=True))
    chosen = np.random.default_rng(0).choice(len(x), CALIBRATION, replace=False)
    test_x, test_y = load_batch(arguments.batches / "test_batch")

    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, array in {
        "calibration_x": x[chosen],
        "calibration_y": y[chosen],
        "test_x": test_x,
        "test_y": test_y,
    }.items():
        np.save(arguments.output / f"{name}.npy", array)
        print(f"{name}.npy: {array.dtype} {list(array.shape)}")


if __name__ == "__main__":
    main()
