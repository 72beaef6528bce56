"""Trains the example networks on scikit-learn's handwritten digits and exports them as ONNX.

    pip install -r examples/digits/requirements.txt && python examples/digits/train.py

Writes the networks, 512 calibration images (from the training part) and the 360 test images beside
this file. Seeded: the same machine and package versions give the same files.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from networks import (
    AveragePool,
    BatchNorm,
    Constant,
    Conv,
    Flatten,
    Gelu,
    Gemm,
    Relu,
    Sequential,
    Sigmoid,
    Sum,
    accuracy,
    export,
    fit,
    jitter,
)

HERE = Path(__file__).parent


def load_split():
    """Training and test images, u8 [n,1,8,8] with pixels 0..16, and labels, i64: 1437 and 360."""
    digits = load_digits()
    images = digits.images[:, None].astype(np.uint8)
    return train_test_split(
        images, digits.target.astype(np.int64), test_size=360, stratify=digits.target, random_state=0
    )


def cnn_relu(rng):
    """A residual network in small: the second convolution's branch starts with batch norm and ReLU,
    the shortcut halves the image by a strided 1×1 convolution."""
    return Sequential(
        Constant("Div", 16),
        Conv(rng, 1, 8, 3, pad=1),
        Sum(
            Sequential(BatchNorm(8), Relu(), Conv(rng, 8, 16, 3, stride=2, pad=1)),
            Conv(rng, 8, 16, 1, stride=2),
        ),
        BatchNorm(16),
        Relu(),
        Flatten(),
        Gemm(rng, 256, 10),
    )


def cnn_gelu(rng):
    """Two plain convolutions; pixels are centred and scaled by the set's mean and deviation."""
    return Sequential(
        Constant("Sub", 4.9),
        Constant("Div", 6.0),
        Conv(rng, 1, 8, 3, pad=1),
        BatchNorm(8),
        Gelu(),
        Conv(rng, 8, 16, 3, stride=2, pad=1),
        BatchNorm(16),
        Gelu(),
        AveragePool(2),
        Flatten(),
        Gemm(rng, 64, 10),
    )


def mlp_sigmoid(rng):
    """A perceptron with two hidden layers."""
    return Sequential(
        Constant("Mul", 1 / 16),
        Flatten(),
        Gemm(rng, 64, 64),
        Sigmoid(),
        Gemm(rng, 64, 32),
        Sigmoid(),
        Gemm(rng, 32, 10),
    )


def main():
    train_x, test_x, train_y, test_y = load_split()
    for name, array in {
        "calibration_x": train_x[:512],
        "calibration_y": train_y[:512],
        "test_x": test_x,
        "test_y": test_y,
    }.items():
        np.save(HERE / f"{name}.npy", array)
    # Chosen on 360 held-out training images: turned and shifted copies help the convolutions only.
    schedules = {
        cnn_relu: {"epochs": 100, "rate": 6e-3, "augment": jitter},
        cnn_gelu: {"epochs": 100, "rate": 6e-3, "augment": jitter},
        mlp_sigmoid: {"epochs": 100, "rate": 2e-2},
    }
    for build, schedule in schedules.items():
        rng = np.random.default_rng(0)
        network = build(rng)
        fit(network, train_x, train_y, rng, **schedule)
        path = HERE / f"{build.__name__}.onnx"
        export(network, path, test_x)
        size = path.stat().st_size
        print(f"{path.name}: {accuracy(path, test_x, test_y):.2%} of {len(test_y)} test images, {size} bytes")


if __name__ == "__main__":
    main()
