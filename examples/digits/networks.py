"""Layers in numpy that know their value, their gradient and their ONNX nodes; training; export.

Just enough to train small image classifiers without a deep-learning framework, whose wheels weigh
gigabytes. Tensors are f32 and NCHW. A layer is used once in a network, keeps what its gradient
needs between `forward` and `backward`, and exports itself as an exporter of opset 17 would: batch
normalisation stays a node, GELU is written out in primitives.
"""

import numpy as np
import onnx
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper
from scipy import ndimage
from scipy.special import erf, expit
from threadpoolctl import threadpool_limits


class Parameter:
    """A trained array, its gradient and Adam's two moments."""

    def __init__(self, value):
        self.value = np.asarray(value, np.float32)
        self.gradient, self.mean, self.square = (np.zeros_like(self.value) for _ in range(3))


class Layer:
    """By default a layer without parameters."""

    def parameters(self):
        return [p for p in vars(self).values() if isinstance(p, Parameter)]


class Sequential(Layer):
    def __init__(self, *layers):
        self.layers = layers

    def parameters(self):
        return [p for layer in self.layers for p in layer.parameters()]

    def forward(self, x, training=False):
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def export(self, graph, x):
        for layer in self.layers:
            x = layer.export(graph, x)
        return x


class Sum(Layer):
    """Two branches from the same input, added: a residual block."""

    def __init__(self, left, right):
        self.left, self.right = left, right

    def parameters(self):
        return self.left.parameters() + self.right.parameters()

    def forward(self, x, training=False):
        return self.left.forward(x, training) + self.right.forward(x, training)

    def backward(self, dy):
        return self.left.backward(dy) + self.right.backward(dy)

    def export(self, graph, x):
        return graph.node("Add", self.left.export(graph, x), self.right.export(graph, x))


class Constant(Layer):
    """Preprocessing inside the graph: `op` (Sub, Mul or Div) by a constant, before any parameter."""

    functions = {"Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}

    def __init__(self, op, value):
        self.op, self.value = op, np.float32(value)

    def forward(self, x, training=False):
        return self.functions[self.op](x, self.value)

    def backward(self, dy):
        return None

    def export(self, graph, x):
        return graph.node(self.op, x, self.value)


class Conv(Layer):
    """Square kernel with bias, He initialisation."""

    def __init__(self, rng, inputs, outputs, kernel, stride=1, pad=0):
        fan_in = inputs * kernel * kernel
        self.weight = Parameter(rng.normal(0, np.sqrt(2 / fan_in), (outputs, inputs, kernel, kernel)))
        self.bias = Parameter(np.zeros(outputs))
        self.kernel, self.stride, self.pad = kernel, stride, pad

    def forward(self, x, training=False):
        p, s, k = self.pad, self.stride, self.kernel
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        windows = sliding_window_view(padded, (k, k), (2, 3))[:, :, ::s, ::s]
        n, _, height, width = windows.shape[:4]
        self.shape = padded.shape
        self.columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * height * width, -1)
        y = self.columns @ self.weight.value.reshape(len(self.weight.value), -1).T + self.bias.value
        return y.reshape(n, height, width, -1).transpose(0, 3, 1, 2)

    def backward(self, dy):
        p, s, k = self.pad, self.stride, self.kernel
        n, outputs, height, width = dy.shape
        rows = dy.transpose(0, 2, 3, 1).reshape(-1, outputs)
        self.weight.gradient[:] = (rows.T @ self.columns).reshape(self.weight.value.shape)
        self.bias.gradient[:] = rows.sum(0)
        columns = (rows @ self.weight.value.reshape(outputs, -1)).reshape(n, height, width, -1, k, k)
        dx = np.zeros(self.shape, np.float32)
        for i in range(k):
            for j in range(k):
                dx[:, :, i : i + s * height : s, j : j + s * width : s] += columns[..., i, j].transpose(0, 3, 1, 2)
        return dx[:, :, p : dx.shape[2] - p, p : dx.shape[3] - p]

    def export(self, graph, x):
        k, s, p = ([v] * n for v, n in ((self.kernel, 2), (self.stride, 2), (self.pad, 4)))
        return graph.node("Conv", x, self.weight.value, self.bias.value, kernel_shape=k, strides=s, pads=p)


class BatchNorm(Layer):
    """Over the channels of images or the features of rows; running statistics with momentum 0.9."""

    epsilon = 1e-5

    def __init__(self, channels):
        self.scale, self.shift = Parameter(np.ones(channels)), Parameter(np.zeros(channels))
        self.mean, self.variance = np.zeros(channels, np.float32), np.ones(channels, np.float32)

    def forward(self, x, training=False):
        mean, variance = self.mean, self.variance
        self.axes = (0, *range(2, x.ndim))
        if training:
            mean, variance = x.mean(self.axes), x.var(self.axes)
            self.mean = 0.9 * self.mean + 0.1 * mean
            self.variance = 0.9 * self.variance + 0.1 * variance
        self.deviation = self.spread(np.sqrt(variance + np.float32(self.epsilon)))
        self.normal = (x - self.spread(mean)) / self.deviation
        return self.normal * self.spread(self.scale.value) + self.spread(self.shift.value)

    def backward(self, dy):
        self.shift.gradient[:] = dy.sum(self.axes)
        self.scale.gradient[:] = (dy * self.normal).sum(self.axes)
        count = dy.size // dy.shape[1]
        means = (self.spread(self.shift.gradient) + self.normal * self.spread(self.scale.gradient)) / count
        return self.spread(self.scale.value) / self.deviation * (dy - means)

    def spread(self, channels):
        return np.expand_dims(channels, self.axes)

    def export(self, graph, x):
        arrays = self.scale.value, self.shift.value, self.mean, self.variance
        return graph.node("BatchNormalization", x, *arrays, epsilon=self.epsilon)


class Gemm(Layer):
    """y = x·Wᵀ + b."""

    def __init__(self, rng, inputs, outputs):
        self.weight = Parameter(rng.normal(0, np.sqrt(1 / inputs), (outputs, inputs)))
        self.bias = Parameter(np.zeros(outputs))

    def forward(self, x, training=False):
        self.x = x
        return x @ self.weight.value.T + self.bias.value

    def backward(self, dy):
        self.weight.gradient[:] = dy.T @ self.x
        self.bias.gradient[:] = dy.sum(0)
        return dy @ self.weight.value

    def export(self, graph, x):
        return graph.node("Gemm", x, self.weight.value, self.bias.value, transB=1)


class Flatten(Layer):
    def forward(self, x, training=False):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy):
        return dy.reshape(self.shape)

    def export(self, graph, x):
        return graph.node("Flatten", x)


class AveragePool(Layer):
    """Square windows side by side, without padding; the image size is a multiple of the window."""

    def __init__(self, window):
        self.window = window

    def forward(self, x, training=False):
        n, c, height, width = x.shape
        k = self.window
        return x.reshape(n, c, height // k, k, width // k, k).mean((3, 5))

    def backward(self, dy):
        return dy.repeat(self.window, 2).repeat(self.window, 3) / np.float32(self.window**2)

    def export(self, graph, x):
        size = [self.window] * 2
        return graph.node("AveragePool", x, kernel_shape=size, strides=size)


class Activation(Layer):
    """Elementwise; `function` gives the value and the derivative at x."""

    def forward(self, x, training=False):
        y, self.derivative = self.function(x)
        return y

    def backward(self, dy):
        return dy * self.derivative


class Relu(Activation):
    def function(self, x):
        return np.maximum(x, 0), x > 0

    def export(self, graph, x):
        return graph.node("Relu", x)


class Sigmoid(Activation):
    def function(self, x):
        y = expit(x)
        return y, y * (1 - y)

    def export(self, graph, x):
        return graph.node("Sigmoid", x)


class Silu(Activation):
    def function(self, x):
        s = expit(x)
        return x * s, s * (1 + x * (1 - s))

    def export(self, graph, x):
        return graph.node("Mul", x, graph.node("Sigmoid", x))


class Square(Activation):
    def function(self, x):
        return x * x, 2 * x

    def export(self, graph, x):
        return graph.node("Mul", x, x)


class Gelu(Activation):
    """The exact one, x·Φ(x)."""

    def function(self, x):
        probability = (1 + erf(x / np.float32(np.sqrt(2)))) / 2
        density = np.exp(-x * x / 2) / np.float32(np.sqrt(2 * np.pi))
        return x * probability, probability + x * density

    def export(self, graph, x):
        inner = graph.node("Erf", graph.node("Div", x, np.float32(np.sqrt(2))))
        product = graph.node("Mul", x, graph.node("Add", inner, np.float32(1)))
        return graph.node("Mul", product, np.float32(0.5))


@threadpool_limits.wrap(limits=1)
def fit(network, x, y, rng, epochs, rate, augment=None, batch=32, decay=0.05):
    """Minimises cross-entropy by Adam with decoupled weight decay and a cosine schedule.

    On one thread: with more, sums are split and the result depends on their number."""
    steps = epochs * (len(x) // batch)
    for step in range(steps):
        if step % (len(x) // batch) == 0:
            order = rng.permutation(len(x))
        chosen, order = order[:batch], order[batch:]
        images = augment(x[chosen], rng) if augment else x[chosen]
        logits = network.forward(images.astype(np.float32), training=True)
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(len(chosen)), y[chosen]] -= 1
        network.backward(p / np.float32(len(chosen)))
        now = rate * (1 + np.cos(np.pi * step / steps)) / 2
        for q in network.parameters():
            q.mean += 0.1 * (q.gradient - q.mean)
            q.square += 0.001 * (q.gradient**2 - q.square)
            mean, square = q.mean / (1 - 0.9 ** (step + 1)), q.square / (1 - 0.999 ** (step + 1))
            q.value -= np.float32(now) * (mean / (np.sqrt(square) + np.float32(1e-8)) + np.float32(decay) * q.value)


def jitter(images, rng, degrees=5.0, shift=0.03):
    """Turns each image about its centre and shifts it by a share of its width, bilinearly."""
    out = np.empty(images.shape, np.float32)
    centre = (np.array(images.shape[2:]) - 1) / 2
    for target, image in zip(out, images, strict=True):
        angle = np.deg2rad(rng.uniform(-degrees, degrees))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        offset = centre - turn @ centre + rng.uniform(-shift, shift, 2) * images.shape[-1]
        for channel, source in zip(target, image, strict=True):
            ndimage.affine_transform(source.astype(np.float32), turn, offset, order=1, output=channel)
    return out


class Graph:
    """Collects nodes and initialisers; a tensor is its name, an array becomes an initialiser."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def node(self, op, *inputs, **attributes):
        name = f"{op}_{len(self.nodes)}"
        names = [v if isinstance(v, str) else self.constant(v, f"{name}.{i}") for i, v in enumerate(inputs)]
        self.nodes.append(helper.make_node(op, names, [name], name, **attributes))
        return name

    def constant(self, value, name):
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def export(network, path, sample):
    """Writes the network as ONNX, opset 17 with an open batch size, from `input` to `output`, and
    checks that ONNX Runtime gives the same outputs for `sample`: within 32 units of f32 rounding of
    the largest one, since either side rounds in its own order."""
    graph = Graph()
    network.export(graph, "input")
    graph.nodes[-1].output[0] = "output"
    expected = network.forward(sample.astype(np.float32))
    proto = helper.make_graph(
        graph.nodes,
        path.stem,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *sample.shape[1:]])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", *expected.shape[1:]])],
        graph.initializers,
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (actual,) = session.run(None, {"input": sample.astype(np.float32)})
    tolerance = 32 * np.finfo(np.float32).eps * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def accuracy(path, x, y):
    """Share of samples that ONNX Runtime classifies right with the file."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.mean(session.run(None, {"input": x.astype(np.float32)})[0].argmax(1) == y)
