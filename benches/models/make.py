"""Makes networks of the shapes that others publish encrypted inference times for.

    pip install -r benches/models/requirements.txt && python benches/models/make.py DIRECTORY

| file                     | shape                                                    | from             |
|--------------------------|----------------------------------------------------------|------------------|
| mlp_128_{square,relu}    | 784-128-128-10                                           | Orion            |
| mlp_512_relu             | 784-512-10                                               | HEIR             |
| lenet_{square,silu,relu} | conv 5×5 stride 2 (32, 64), 512, 10                      | Orion            |
| lenet5_{square,relu}     | conv 5×5 (6, 16), each with an average pool, 120, 84, 10 | LeCun et al 1998 |

The shapes are theirs; the weights are not. Others train on MNIST. These are trained here, seeded, on
scikit-learn's 8×8 digits enlarged to 28×28 (bilinear) and slightly turned and shifted, so that
weights and activation distributions are real but accuracies are not comparable with MNIST's. Batch
normalisation, a node of its own, stands before every activation.

Also writes `calibration_{x,y}.npy` (512 training images) and `test_{x,y}.npy` (360), u8 [n,1,28,28]
with pixels 0..255 (scaled inside the graph) and i64 labels.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parents[2] / "examples/digits"))
from networks import (
    AveragePool,
    BatchNorm,
    Constant,
    Conv,
    Flatten,
    Gemm,
    Relu,
    Sequential,
    Silu,
    Square,
    accuracy,
    export,
    fit,
    jitter,
)
from train import load_split


def mlp(rng, activation, widths):
    """Square activations need the batch normalisation, but a perceptron with ReLU does without."""
    layers = [Constant("Div", 255), Flatten()]
    for inputs, outputs in zip((784, *widths), widths, strict=False):
        layers += [Gemm(rng, inputs, outputs), BatchNorm(outputs), activation()]
    return Sequential(*layers, Gemm(rng, widths[-1], 10))


def lenet(rng, activation):
    return Sequential(
        Constant("Div", 255),
        Conv(rng, 1, 32, 5, stride=2, pad=2),
        BatchNorm(32),
        activation(),
        Conv(rng, 32, 64, 5, stride=2, pad=2),
        BatchNorm(64),
        activation(),
        Flatten(),
        Gemm(rng, 64 * 7 * 7, 512),
        BatchNorm(512),
        activation(),
        Gemm(rng, 512, 10),
    )


def lenet5(rng, activation):
    return Sequential(
        Constant("Div", 255),
        Conv(rng, 1, 6, 5, pad=2),
        BatchNorm(6),
        activation(),
        AveragePool(2),
        Conv(rng, 6, 16, 5),
        BatchNorm(16),
        activation(),
        AveragePool(2),
        Flatten(),
        Gemm(rng, 16 * 5 * 5, 120),
        BatchNorm(120),
        activation(),
        Gemm(rng, 120, 84),
        BatchNorm(84),
        activation(),
        Gemm(rng, 84, 10),
    )


NETWORKS = {
    "mlp_128_square": partial(mlp, activation=Square, widths=(128, 128)),
    "mlp_128_relu": partial(mlp, activation=Relu, widths=(128, 128)),
    "mlp_512_relu": partial(mlp, activation=Relu, widths=(512,)),
    "lenet_square": partial(lenet, activation=Square),
    "lenet_silu": partial(lenet, activation=Silu),
    "lenet_relu": partial(lenet, activation=Relu),
    "lenet5_square": partial(lenet5, activation=Square),
    "lenet5_relu": partial(lenet5, activation=Relu),
}


def enlarge(images):
    """8×8 pixels of 0..16 to 28×28 of 0..255."""
    large = ndimage.zoom(images / 16, (1, 1, 3.5, 3.5), order=1, mode="nearest", grid_mode=True)
    return np.round(255 * large).astype(np.uint8)


def main():
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    train_x, test_x, train_y, test_y = load_split()
    train_x, test_x = enlarge(train_x), enlarge(test_x)
    arrays = {"calibration_x": train_x[:512], "calibration_y": train_y[:512], "test_x": test_x, "test_y": test_y}
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", array)
    for name, build in NETWORKS.items():
        rng = np.random.default_rng(0)
        network = build(rng)
        fit(network, train_x, train_y, rng, epochs=20, rate=2e-3, augment=jitter)
        path = directory / f"{name}.onnx"
        export(network, path, test_x)
        print(f"{path.name}: {accuracy(path, test_x, test_y):.2%} of {len(test_y)} test images", flush=True)


if __name__ == "__main__":
    main()
