"""Exports a trained CIFAR-10 ResNet from PyTorch weights to ONNX.

    python examples/cifar10/export.py WEIGHTS.pt MODEL.onnx

The network is the one of He et al. (Deep Residual Learning, 2016, section 4.2) with shortcuts of
option A: 16, 32 and 64 channels, 6n + 2 layers, where n, the blocks in a stage, is read from the weights: 3
for ResNet-20, 5 for ResNet-32. The file is a state dict, or a checkpoint with one under `state_dict`,
`model` or `net`, saved with or without `DataParallel`; the classifier may be called `linear`, `fc` or
`classifier`. Anything missing or left over is refused.

ONNX: opset 17, `input` [N,3,32,32], normalised images, to `logits` [N,10], with N open.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two convolutions beside a shortcut that takes every other pixel and adds channels of zeros."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.new = stride, outputs - inputs

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.new:
            x = x[:, :, :: self.stride, :: self.stride]
            x = F.pad(x, (0, 0, 0, 0, self.new // 2, self.new // 2))
        return F.relu(y + x)


class ResNet(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(blocks, 16, 16, stride=1)
        self.layer2 = stage(blocks, 16, 32, stride=2)
        self.layer3 = stage(blocks, 32, 64, stride=2)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


def stage(blocks, inputs, outputs, stride):
    rest = [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Block(inputs, outputs, stride), *rest)


def load(path):
    """The network with the weights of a file, ready for inference."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    for wrapper in ("state_dict", "model", "net"):
        state = state.get(wrapper, state)
    state = {rename(key): value for key, value in state.items()}
    blocks = {key.split(".")[1] for key in state if key.startswith("layer1.")}
    if not blocks:
        raise SystemExit(f"{path} has no `layer1.`: not a ResNet for CIFAR; its keys begin {list(state)[:3]}")
    network = ResNet(len(blocks))
    network.load_state_dict(state)
    return network.eval()


def rename(key):
    key = key.removeprefix("module.")
    for name in ("fc.", "classifier."):
        if key.startswith(name):
            key = "linear." + key.removeprefix(name)
    return key


def export(network, path):
    """Writes the file and checks, on random input, that ONNX Runtime gives the outputs of PyTorch: within 64
    units of f32 rounding of the largest one, since either side rounds in its own order."""
    x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(
        network,
        (x[:2],),
        path,
        opset_version=17,
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}},
        # The exporter that writes opset 17 without converting from a later one.
        dynamo=False,
    )
    onnx.checker.check_model(onnx.load(path), full_check=True)
    with torch.no_grad():
        expected = network(x).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (actual,) = session.run(None, {"input": x.numpy()})
    error = np.abs(actual - expected).max() / np.abs(expected).max()
    if not error <= 64 * np.finfo(np.float32).eps:
        raise SystemExit(f"{path} differs from PyTorch by {error:.1e} of the largest output")
    return error


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, metavar="WEIGHTS.pt")
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    arguments = parser.parse_args()
    network = load(arguments.weights)
    error = export(network, arguments.model)
    depth = 2 + 6 * len(network.layer1)
    print(f"{arguments.model}: ResNet-{depth}, differs from PyTorch by {error:.1e} of the largest output")


if __name__ == "__main__":
    main()
