"""Makes the corpus of tiny ONNX files that the frontend is tested on.

    pip install onnx onnxruntime && python tests/onnx/make.py

Good files: `<name>.onnx`, a seeded normal input `<name>.x.npy` (f32, batch 1) and ONNX Runtime's
output for it, `<name>.y.npy`; the output is checked against the ONNX reference evaluator before
it is written. Bad files: `bad/<name>.onnx`, each with the reason why it must be refused in a
comment below. Nothing here calls the compiler.
"""

import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

HERE = Path(__file__).parent
BAD = HERE / "bad"
IMAGE = ("N", 3, 6, 6)


def constant(spec, rng):
    """A tuple is the shape of random weights, a list of ints is int64, numpy values keep their
    type, anything else is f32."""
    if isinstance(spec, tuple):
        return rng.normal(0, 0.5, spec).astype(np.float32)
    if isinstance(spec, np.generic):
        return np.asarray(spec)
    if isinstance(spec, list) and all(isinstance(v, int) for v in spec):
        return np.array(spec, np.int64)
    return np.asarray(spec, np.float32)


def model(name, body, x=IMAGE, opset=17, domain=None, as_nodes=False, as_inputs=False, **constants):
    """The network `body` (ONNX text syntax, from `x` to `y`) with its constants as initialisers,
    as Constant nodes, or, like files older than IR version 4, as initialisers that are inputs."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    dims = ",".join(map(str, x))
    graph = parser.parse_graph(f"{name} (float[{dims}] x) => (float y) {{ {body} }}")
    for i, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{i}"
    tensors = [numpy_helper.from_array(constant(c, rng), k) for k, c in constants.items()]
    if as_nodes:
        nodes = [helper.make_node("Constant", [], [t.name], t.name, value=t) for t in tensors]
        nodes += graph.node
        del graph.node[:]
        graph.node.extend(nodes)
    else:
        graph.initializer.extend(tensors)
    if as_inputs:
        graph.input.extend(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors)
    imports = [helper.make_opsetid("", opset)]
    if domain:
        imports.append(helper.make_opsetid(domain, 1))
    ir = 3 if as_inputs else max(4, helper.find_min_ir_version_for(imports, ignore_unknown=True))
    graph.output[0].type.tensor_type.ClearField("shape")
    proto = helper.make_model(graph, opset_imports=imports, ir_version=ir)
    inferred = onnx.shape_inference.infer_shapes(proto).graph.output[0].type.tensor_type
    shape = inferred.shape if inferred.HasField("shape") else graph.input[0].type.tensor_type.shape
    proto.graph.output[0].type.tensor_type.shape.CopyFrom(shape)
    return proto


class BatchNormalization(OpRun):
    """Inference by the definition: the evaluator's own fails or trains below opset 14."""

    def _run(self, x, scale, bias, mean, variance, epsilon=1e-5, **_):
        scale, bias, mean, variance = (
            np.expand_dims(c, (*range(1, x.ndim - 1),)) for c in (scale, bias, mean, variance)
        )
        return (((x - mean) / np.sqrt(variance + epsilon) * scale + bias).astype(np.float32),)


def good(name, body, evaluator=True, **options):
    """Writes a file with its input and expected output, checked by the evaluator if it can."""
    proto = model(name, body, **options)
    shape = [d.dim_value or 1 for d in proto.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1 + zlib.crc32(name.encode())).normal(size=shape).astype(np.float32)
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x})
    if evaluator:
        reference = ReferenceEvaluator(proto, new_ops=[BatchNormalization]).run(None, {"x": x})[0]
        np.testing.assert_allclose(y, reference, rtol=1e-5, atol=1e-5, err_msg=name)

    batch = proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    dims = [batch or 1, *y.shape[1:]] if y.shape[0] == 1 else y.shape
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, dims))
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, HERE / f"{name}.onnx")
    np.save(HERE / f"{name}.x.npy", x)
    np.save(HERE / f"{name}.y.npy", y)


def bad(name, proto):
    """Writes a file that must be refused; `proto` is a model or the very bytes."""
    data = proto if isinstance(proto, bytes) else proto.SerializeToString()
    (BAD / f"{name}.onnx").write_bytes(data)


def convolutions():
    def conv(name, attributes="", x=IMAGE, w=(4, 3, 3, 3), **options):
        good(f"conv_{name}", f"y = Conv<{attributes}>(x, w, b)".replace("<>", ""), x=x, w=w, b=w[:1], **options)

    good("conv_no_bias", "y = Conv(x, w)", w=(4, 3, 3, 3))
    conv("plain")
    conv("pointwise", w=(5, 3, 1, 1))
    conv("rectangular", "kernel_shape=[1,3], pads=[0,1,0,1]", w=(4, 3, 1, 3))
    conv("pads", "pads=[0,1,2,1]")
    conv("strides", "pads=[1,1,1,1], strides=[2,1]")
    conv("dilations", "dilations=[2,1], pads=[2,1,2,1]")
    conv("groups", "group=2, pads=[1,1,1,1]", x=("N", 4, 6, 6), w=(6, 2, 3, 3))
    conv("depthwise", "group=3, pads=[1,1,1,1]", w=(3, 1, 3, 3))
    conv("depthwise_multiplier", "group=3, pads=[1,1,1,1], strides=[2,2]", w=(6, 1, 3, 3))
    conv("everything", "group=2, dilations=[2,1], pads=[1,0,2,1], strides=[1,2]", x=(1, 4, 7, 6), w=(4, 2, 2, 3))
    conv("same_upper", 'auto_pad="SAME_UPPER", strides=[2,2]')
    conv("same_lower", 'auto_pad="SAME_LOWER", strides=[2,2]')
    conv("valid", 'auto_pad="VALID", strides=[2,2]')
    conv("notset", 'auto_pad="NOTSET", pads=[1,1,0,0]')
    conv("1d", x=("N", 2, 9), w=(3, 2, 3))
    conv("1d_strides", "pads=[2,1], strides=[2], dilations=[2]", x=("N", 2, 9), w=(3, 2, 3))
    conv("1d_groups", 'group=2, auto_pad="SAME_UPPER"', x=("N", 4, 9), w=(4, 2, 4))


def products():
    row = {"x": ("N", 8)}
    good("gemm", "y = Gemm(x, w, b)", **row, w=(8, 5), b=(5,))
    good("gemm_no_bias", "y = Gemm(x, w)", **row, w=(8, 5), opset=11)
    good("gemm_trans_b", "y = Gemm<transB=1>(x, w, b)", **row, w=(5, 8), b=(5,))
    good("gemm_alpha_beta", "y = Gemm<alpha=0.5, beta=-2.0, transB=1>(x, w, b)", **row, w=(5, 8), b=(1, 5))
    good("gemm_scalar_bias", "y = Gemm(x, w, b)", **row, w=(8, 5), b=())
    good("gemm_trans_a", "t = Transpose<perm=[1,0]>(x) y = Gemm<transA=1>(t, w, b)", **row, w=(8, 5), b=(5,))
    good("gemm_const_left", "t = Gemm<transB=1>(w, x, b) y = Transpose<perm=[1,0]>(t)", x=(1, 8), w=(5, 8), b=(5, 1))
    good("gemm_opset_7", "y = Gemm(x, w, b)", **row, w=(8, 5), b=(5,), opset=7)
    good("matmul_right", "y = MatMul(x, w)", **row, w=(8, 5))
    good("matmul_bias", "t = MatMul(x, w) y = Add(b, t)", **row, w=(8, 5), b=(5,))
    good("matmul_vector", "y = MatMul(x, w)", **row, w=(8,))
    good("matmul_right_3d", "y = MatMul(x, w)", x=("N", 4, 8), w=(8, 5))
    good("matmul_left_3d", "y = MatMul(w, x)", x=("N", 4, 8), w=(5, 4))
    good("matmul_batched", "y = MatMul(x, w)", x=("N", 2, 4, 8), w=(2, 8, 3))
    good("matmul_batched_left", "y = MatMul(w, x)", x=("N", 2, 4, 8), w=(1, 2, 3, 4))


def normalisations():
    statistics = {"s": (3,), "b": (3,), "m": (3,), "v": [0.5, 1.25, 2.0]}
    for opset in (7, 9, 14, 15):
        good(f"batch_norm_opset_{opset}", "y = BatchNormalization(x, s, b, m, v)", opset=opset, **statistics)
    good("batch_norm_epsilon", "y = BatchNormalization<epsilon=0.1, momentum=0.5>(x, s, b, m, v)", **statistics)
    good("batch_norm_1d", "y = BatchNormalization(x, s, b, m, v)", x=("N", 3, 7), **statistics)
    good("batch_norm_2d_rows", "y = BatchNormalization(x, s, b, m, v)", x=("N", 3), **statistics)
    # Not foldable into the convolution after it without a border: the padding is zero after the norm.
    good(
        "batch_norm_before_padded_conv",
        "t = BatchNormalization(x, s, b, m, v) y = Conv<pads=[1,1,1,1]>(t, w)",
        w=(2, 3, 3, 3),
        **statistics,
    )
    good(
        "batch_norm_after_conv",
        "t = Conv(x, w, c) y = BatchNormalization(t, s, b, m, v)",
        w=(3, 3, 3, 3),
        c=(3,),
        **statistics,
    )
    good(
        "batch_norm_before_gemm",
        "t = Relu(x) u = BatchNormalization(t, s, b, m, v) y = Gemm(u, w)",
        x=("N", 3),
        w=(3, 4),
        **statistics,
    )


def arithmetic():
    shapes = {"scalar": (), "single": (1,), "channel": (3, 1, 1), "channel_4d": (1, 3, 1, 1), "columns": (6,)}
    for shape, dims in shapes.items():
        good(f"add_{shape}", "y = Add(x, c)", c=dims)
        good(f"mul_{shape}_left", "y = Mul(c, x)", c=dims)
    good("add_left", "y = Add(c, x)", c=(3, 1, 1))
    good("add_full", "y = Add(x, c)", c=(1, 3, 6, 6))
    good("mul_right", "y = Mul(x, c)", c=(3, 1, 1))
    good("sub_scalar_left", "y = Sub(c, x)", c=1.5)
    good("sub_channel_left", "y = Sub(c, x)", c=(3, 1, 1))
    good("sub_channel_right", "y = Sub(x, c)", c=(3, 1, 1))
    good("div_scalar", "y = Div(x, c)", c=255.0)
    good("div_channel", "y = Div(x, c)", c=[[[0.5]], [[2.0]], [[-3.0]]])
    # Broadcasting the encrypted operand up to the shape of the constant.
    good("add_widening", "y = Add(x, c)", x=("N", 3, 1, 1), c=(1, 3, 2, 2))
    good("add_two", "t = Conv(x, w) y = Add(x, t)", w=(3, 3, 1, 1))
    good("sub_two", "t = Conv(x, w) y = Sub(t, x)", w=(3, 3, 1, 1))
    good("mul_two", "t = Conv(x, w) y = Mul(x, t)", w=(3, 3, 1, 1))
    good("add_itself", "y = Add(x, x)")
    good("sub_itself_shifted", "t = Add(x, c) y = Sub(x, t)", c=(3, 1, 1))
    good("square", "y = Mul(x, x)")
    good("mul_two_broadcast", "t = GlobalAveragePool(x) u = Sigmoid(t) y = Mul(x, u)")


def activations():
    for op in ("Relu", "Sigmoid", "Tanh", "Softplus", "Erf", "LeakyRelu", "HardSigmoid", "Elu", "HardSwish"):
        good(op.lower(), f"y = {op}(x)")
    good("relu_opset_7", "y = Relu(x)", opset=7)
    good("leakyrelu_alpha", "y = LeakyRelu<alpha=0.3>(x)")
    good("hardsigmoid_alpha_beta", "y = HardSigmoid<alpha=0.16666667, beta=0.6>(x)")
    good("elu_alpha", "y = Elu<alpha=0.7>(x)")
    good("prelu_channel", "y = PRelu(x, s)", s=(3, 1, 1))
    good("prelu_single", "y = PRelu(x, s)", s=[0.2])
    good("prelu_opset_7", "y = PRelu(x, s)", s=(3, 1, 1), opset=7)

    good("gelu_node", "y = Gelu(x)", opset=20)
    good("gelu_node_none", 'y = Gelu<approximate="none">(x)', opset=20)
    good("gelu_node_tanh", 'y = Gelu<approximate="tanh">(x)', opset=20)
    erf = {"r": 2**0.5, "one": 1.0, "half": 0.5}
    good("gelu_erf", "a = Div(x, r) e = Erf(a) p = Add(e, one) m = Mul(x, p) y = Mul(m, half)", **erf)
    good("gelu_erf_half_first", "h = Mul(x, half) a = Div(x, r) e = Erf(a) p = Add(e, one) y = Mul(h, p)", **erf)
    good(
        "gelu_erf_as_nodes",
        "a = Mul(x, r) e = Erf(a) p = Add(one, e) h = Mul(half, p) y = Mul(h, x)",
        **(erf | {"r": 0.5**0.5}),
        as_nodes=True,
        opset=9,
    )
    cubic = {"k": 0.044715, "r": (2 / np.pi) ** 0.5, "one": 1.0, "half": 0.5}
    tail = "c = Mul(cube, k) s = Add(x, c) a = Mul(s, r) t = Tanh(a) p = Add(t, one) m = Mul(x, p) y = Mul(m, half)"
    good("gelu_tanh", "cube = Pow(x, three) " + tail, three=3.0, **cubic)
    good("gelu_tanh_products", "square = Mul(x, x) cube = Mul(square, x) " + tail, **cubic)

    good("silu", "s = Sigmoid(x) y = Mul(x, s)")
    good("silu_left", "s = Sigmoid(x) y = Mul(s, x)")
    good("swish_beta", "b = Mul(x, beta) s = Sigmoid(b) y = Mul(x, s)", beta=1.702)
    good("hardswish_hardsigmoid", "h = HardSigmoid<alpha=0.16666667, beta=0.5>(x) y = Mul(x, h)", opset=13)
    relu6 = "a = Add(x, three) c = Clip(a, low, high) "
    bounds = {"three": 3.0, "low": 0.0, "high": 6.0}
    good("hardswish_clip", relu6 + "m = Mul(x, c) y = Div(m, six)", six=6.0, **bounds)
    good("hardswish_clip_div_first", relu6 + "d = Div(c, six) y = Mul(x, d)", six=6.0, **bounds)

    good("clip_opset_7", "y = Clip<min=-0.5, max=0.75>(x)", opset=7)
    good("clip_opset_9", "y = Clip<min=0.0, max=6.0>(x)", opset=9)
    good("clip_opset_9_min", "y = Clip<min=-0.25>(x)", opset=9)
    good("clip_opset_11", "y = Clip(x, low, high)", opset=11, low=-0.5, high=0.75)
    good("clip_min", "y = Clip(x, low)", low=-0.5)
    good("clip_max", 'y = Clip(x, "", high)', high=0.5)
    good("clip_as_nodes", "y = Clip(x, low, high)", low=0.0, high=6.0, as_nodes=True)


def pools():
    def pool(name, attributes, x=IMAGE, opset=17):
        good(f"average_pool_{name}", f"y = AveragePool<{attributes}>(x)", x=x, opset=opset)

    pool("plain", "kernel_shape=[2,2]")
    pool("strides", "kernel_shape=[2,3], strides=[2,1]")
    pool("pads", "kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]")
    pool("pads_asymmetric", "kernel_shape=[3,3], pads=[0,1,2,1]")
    pool("count_include_pad", "kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1")
    pool("ceil_mode", "kernel_shape=[3,3], strides=[2,2], ceil_mode=1")
    pool("ceil_mode_pads", "kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2], ceil_mode=1", x=("N", 2, 8, 6), opset=19)
    pool("same_upper", 'kernel_shape=[3,3], auto_pad="SAME_UPPER", strides=[2,2]')
    pool("same_lower", 'kernel_shape=[3,3], auto_pad="SAME_LOWER", strides=[2,2]')
    pool("valid", 'kernel_shape=[3,3], auto_pad="VALID", strides=[2,2]')
    pool("dilations", "kernel_shape=[2,2], dilations=[2,2]", opset=19)
    pool("opset_7", "kernel_shape=[3,3], pads=[1,1,1,1]", opset=7)
    pool("1d", "kernel_shape=[3], strides=[2], pads=[1,1]", x=("N", 2, 9))
    good("global_average_pool", "y = GlobalAveragePool(x)")
    good("global_average_pool_1d", "y = GlobalAveragePool(x)", x=("N", 3, 7))

    good("reduce_mean_pool", "y = ReduceMean<axes=[2,3], keepdims=1>(x)", opset=13)
    good("reduce_mean_squeezed", "y = ReduceMean<axes=[-1,-2], keepdims=0>(x)", opset=11)
    good("reduce_mean_channels", "y = ReduceMean<axes=[1]>(x)")
    good("reduce_mean_opset_18", "y = ReduceMean<keepdims=0>(x, axes)", axes=[2, 3], opset=18)
    good("reduce_sum_opset_11", "y = ReduceSum<axes=[1,2,3], keepdims=0>(x)", opset=11)
    good("reduce_sum_opset_13", "y = ReduceSum<keepdims=1>(x, axes)", axes=[-1], opset=13)
    good("reduce_sum_noop", "y = ReduceSum<noop_with_empty_axes=1>(x)", opset=13)


def shapes():
    good("flatten", "y = Flatten(x)")
    good("flatten_negative", "y = Flatten<axis=-3>(x)")
    good("reshape_zero", "y = Reshape(x, shape)", shape=[0, -1])
    good("reshape_features", "y = Reshape(x, shape)", shape=[-1, 108])
    good("reshape_image", "y = Reshape(x, shape)", x=("N", 16), shape=[-1, 1, 4, 4])
    good("reshape_as_node", "y = Reshape(x, shape)", shape=[1, -1], x=(1, 3, 6, 6), as_nodes=True, opset=9)
    # What `x.view(x.size(0), -1)` exports to.
    good(
        "reshape_from_shape",
        """s = Shape(x) n = Gather<axis=0>(s, zero) u = Unsqueeze(n, front)
        t = Concat<axis=0>(u, rest) y = Reshape(x, t)""",
        zero=np.int64(0),
        front=[0],
        rest=[-1],
    )
    good(
        "channel_shuffle",
        "a = Reshape(x, split) b = Transpose<perm=[0,2,1,3,4]>(a) y = Reshape(b, join)",
        x=("N", 4, 3, 3),
        split=[0, 2, 2, 3, 3],
        join=[0, -1, 3, 3],
    )
    good("transpose_nhwc", "y = Transpose<perm=[0,2,3,1]>(x)")
    good("transpose_nchw", "y = Transpose<perm=[0,3,1,2]>(x)", x=("N", 6, 6, 3))
    good("transpose_default", "y = Transpose(x)", x=(1, 2, 3, 1))
    good(
        "conv_in_nhwc",
        "a = Transpose<perm=[0,3,1,2]>(x) b = Conv(a, w) y = Transpose<perm=[0,2,3,1]>(b)",
        x=("N", 6, 6, 3),
        w=(4, 3, 3, 3),
    )
    good("squeeze_opset_11", "p = GlobalAveragePool(x) y = Squeeze<axes=[2,3]>(p)", opset=11)
    good("squeeze_opset_13", "p = GlobalAveragePool(x) y = Squeeze(p, axes)", axes=[-1, -2], opset=13)
    good("unsqueeze_opset_11", "y = Unsqueeze<axes=[1,3]>(x)", x=("N", 5), opset=11)
    good("unsqueeze_opset_13", "y = Unsqueeze(x, axes)", x=("N", 5), axes=[1, -1], opset=13)

    good("concat_channels", "a = Conv(x, w) b = Conv(x, v) y = Concat<axis=1>(a, b, a)", w=(2, 3, 1, 1), v=(3, 3, 1, 1))
    good("concat_rows", "y = Concat<axis=-2>(x, x)")
    good("concat_constant", "y = Concat<axis=1>(c, x)", x=(1, 3, 4, 4), c=(1, 2, 4, 4))

    good("slice_opset_9", "y = Slice<axes=[1,3], starts=[1,0], ends=[3,-1]>(x)", opset=9)
    good("slice_opset_10", "y = Slice(x, starts, ends, axes)", starts=[-4], ends=[2**31 - 1], axes=[2], opset=10)
    good("slice_default_axes", "y = Slice(x, starts, ends)", starts=[0, 1], ends=[2**31 - 1, 3])
    strided = {"starts": [0, 1], "ends": [2**63 - 1, 6], "axes": [2, -1], "steps": [2, 3]}
    good("slice_steps", "y = Slice(x, starts, ends, axes, steps)", **strided)
    reverse = {"starts": [-1], "ends": [-(2**63)], "axes": [3], "steps": [-1]}
    good("slice_negative_step", "y = Slice(x, starts, ends, axes, steps)", **reverse)

    joined = " t = Relu(a) y = Concat<axis=1>(b, t)"
    five = {"x": ("N", 5, 3, 3)}
    good("split_opset_11", "a, b = Split<axis=1, split=[2,3]>(x)" + joined, opset=11, **five)
    good("split_opset_13", "a, b = Split<axis=1>(x, sizes)" + joined, opset=13, sizes=[1, 4], **five)
    good("split_opset_18", "a, b = Split<axis=-3, num_outputs=2>(x)" + joined, opset=18, **five)
    good("split_equal", "a, b = Split<axis=1>(x)" + joined, x=("N", 4, 3, 3))

    good("pad_opset_7", "y = Pad<pads=[0,0,1,0,0,0,2,1], value=0.5>(x)", opset=7)
    good("pad_opset_11", "y = Pad(x, pads)", pads=[0, 1, 0, 1, 0, 2, 1, 0], opset=11)
    good("pad_value", 'y = Pad<mode="constant">(x, pads, value)', pads=[0, 0, 1, 1, 0, 0, 1, 1], value=-1.5, opset=13)
    good("pad_opset_18", 'y = Pad(x, pads, "", axes)', pads=[1, 0, 2, 1], axes=[-1, 2], opset=18)
    good("pad_negative", "y = Pad(x, pads)", pads=[0, 0, -1, 2, 0, 0, 0, -2], evaluator=False)


def plumbing():
    good("identity", "t = Identity(x) y = Identity(t)")
    good("dropout_opset_7", "y = Dropout<ratio=0.4>(x)", opset=7)
    good("dropout_opset_10", "t = Dropout<ratio=0.4>(x) y = Relu(t)", opset=10)
    good("dropout_opset_12", "y, mask = Dropout(x, ratio)", ratio=0.4, opset=12)
    good("dropout_opset_13", "y = Dropout(x, ratio, training)", ratio=0.4, training=np.bool_(False), opset=13)
    good("constant_value", "c = Constant<value = float[3,1,1] {0.5, -1.0, 2.0}>() y = Mul(x, c)", opset=9)
    good("constant_float", "c = Constant<value_float=0.25>() y = Add(x, c)")
    good("constant_floats", "c = Constant<value_floats=[1.0, 0.0, -1.0, 2.0, 3.0, 0.5]>() y = Mul(x, c)")
    good("constant_ints", "c = Constant<value_ints=[0, -1]>() y = Reshape(x, c)")
    good("constant_expression", "d = Add(a, b) w = Mul(d, a) y = Conv(x, w)", a=(2, 3, 1, 1), b=(1, 3, 1, 1))
    good("unused_nodes", "a = Tanh(x) b = Softmax(a) y = Relu(x)")


def networks():
    block = {"w": (4, 4, 3, 3), "v": (4, 4, 3, 3)}
    for i in "ab":
        block |= {f"s{i}": (4,), f"b{i}": (4,), f"m{i}": (4,), f"v{i}": [0.5, 1.25, 2.0, 0.75]}
    trunk = """a = Conv<pads=[1,1,1,1], strides=[{stride},{stride}]>(x, w) b = BatchNormalization(a, sa, ba, ma, va)
        c = Relu(b) d = Conv<pads=[1,1,1,1]>(c, v) e = BatchNormalization(d, sb, bb, mb, vb) """
    x = ("N", 4, 6, 6)
    good("residual_block", trunk.format(stride=1) + "f = Add(e, x) y = Relu(f)", x=x, **block)
    good(
        "residual_projection",
        trunk.format(stride=2) + "g = Conv<strides=[2,2]>(x, p) f = Add(e, g) y = Relu(f)",
        x=x,
        p=(4, 4, 1, 1),
        **block,
    )
    # ResNet's option A: every second pixel, new channels zero.
    good(
        "residual_option_a",
        trunk.format(stride=2) + "g = Slice(x, starts, ends, axes, steps) h = Pad(g, pads) f = Add(e, h) y = Relu(f)",
        x=("N", 2, 6, 6),
        **(block | {"w": (4, 2, 3, 3)}),
        starts=[0, 0],
        ends=[2**31 - 1, 2**31 - 1],
        axes=[2, 3],
        steps=[2, 2],
        pads=[0, 1, 0, 0, 0, 1, 0, 0],
    )
    small = "a = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(a) p = GlobalAveragePool(r) f = Flatten(p) y = Gemm(f, g, h)"
    weights = {"w": (4, 3, 3, 3), "b": (4,), "g": (4, 5), "h": (5,)}
    for opset in (7, 23):
        good(f"small_network_opset_{opset}", small, opset=opset, **weights)
    good("small_network_weights_as_nodes", small, opset=9, as_nodes=True, **weights)
    good("small_network_weights_as_inputs", small, opset=8, as_inputs=True, **weights)
    # As a converter from a channels-last framework writes: pixels scaled inside the graph, weights
    # as Constant nodes, a transpose around every convolution, the pool as a mean, Flatten as Reshape.
    good(
        "channels_last_opset_9",
        """c = Sub(x, mean) d = Div(c, deviation)
        a = Transpose<perm=[0,3,1,2]>(d)
        b = Conv<auto_pad="SAME_UPPER", kernel_shape=[3,3], strides=[2,2]>(a, w)
        e = BatchNormalization<epsilon=0.001>(b, s, o, m, v)
        f = Transpose<perm=[0,2,3,1]>(e) g = Relu(f)
        h = Transpose<perm=[0,3,1,2]>(g)
        i = Conv<auto_pad="SAME_UPPER", group=4>(h, dw)
        j = Transpose<perm=[0,2,3,1]>(i) k = Add(j, bias) l = Clip<min=0.0, max=6.0>(k)
        n = ReduceMean<axes=[1,2], keepdims=0>(l) q = Reshape(n, shape)
        t = MatMul(q, dense) y = Add(t, dense_bias)""",
        x=(1, 6, 6, 3),
        opset=9,
        as_nodes=True,
        mean=[0.485, 0.456, 0.406],
        deviation=[0.229, 0.224, 0.225],
        w=(4, 3, 3, 3),
        s=(4,),
        o=(4,),
        m=(4,),
        v=[0.5, 1.25, 2.0, 0.75],
        dw=(4, 1, 3, 3),
        bias=(4,),
        shape=[-1, 4],
        dense=(4, 5),
        dense_bias=(5,),
    )


def refusals():
    # Operators that cannot run encrypted: all of them are to be reported, by name.
    bad("max_pool", model("max_pool", "a = MaxPool<kernel_shape=[2,2]>(x) y = Relu(a)"))
    bad("softmax_inside", model("softmax_inside", "a = Softmax(x) y = Gemm(a, w)", x=("N", 4), w=(4, 3)))
    bad(
        "several_unsupported",
        model(
            "several_unsupported",
            """a = Conv(x, k) b = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a) c = Reshape(b, shape)
            d = LSTM<hidden_size=3>(c, w, r) e = Squeeze(d, axes) f = Softmax(e) g = Flatten(f) y = Gemm(g, o)""",
            k=(4, 3, 3, 3),
            shape=[4, -1, 4],
            w=(1, 12, 4),
            r=(1, 12, 3),
            axes=[1],
            o=(3, 2),
        ),
    )
    # Products and quotients of two encrypted tensors that are not elementwise products.
    bad("matmul_two", model("matmul_two", "t = Transpose<perm=[0,2,1]>(x) y = MatMul(x, t)", x=("N", 3, 4)))
    bad("div_two", model("div_two", "t = Sigmoid(x) y = Div(x, t)"))
    bad("div_const_left", model("div_const_left", "y = Div(c, x)", c=1.0))
    bad(
        "weights_from_input",
        model("weights_from_input", "w = Reshape(x, shape) y = Conv(x, w)", x=(1, 3, 4, 4), shape=[3, 1, 4, 4]),
    )
    # Only constant padding is linear in a way that the file fixes.
    bad("pad_reflect", model("pad_reflect", 'y = Pad<mode="reflect">(x, pads)', pads=[0, 0, 1, 1, 0, 0, 1, 1]))
    # A domain that is not ONNX's, even though the operator's name is.
    bad("foreign_domain", model("foreign_domain", "y = ai.example.Relu(x)", domain="ai.example"))
    # Operator sets outside 7 to 23, and none at all.
    bad("opset_5", model("opset_5", "y = Relu(x)", opset=5))
    bad("opset_30", model("opset_30", "y = Relu(x)", opset=30))
    headless = model("no_opset", "y = Relu(x)")
    del headless.opset_import[:]
    bad("no_opset", headless)
    # Inputs: without a shape, with open image sizes, of another element type, more than one, none.
    shapeless = model("input_without_shape", "y = Relu(x)")
    shapeless.graph.input[0].type.tensor_type.ClearField("shape")
    bad("input_without_shape", shapeless)
    bad("input_with_open_image", model("input_with_open_image", "y = Relu(x)", x=("N", 3, "H", "W")))
    integer = model("integer_input", "f = Cast<to=1>(x) y = Relu(f)")
    integer.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    bad("integer_input", integer)
    two = model("two_inputs", "y = Add(x, z)")
    two.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, IMAGE))
    bad("two_inputs", two)
    none = model("no_inputs", "y = Relu(c)", c=(1, 3))
    del none.graph.input[:]
    bad("no_inputs", none)
    # Graphs that are not graphs of what they claim.
    bad("undefined_tensor", model("undefined_tensor", "a = Relu(x) y = Add(a, nowhere)"))
    bad("cycle", model("cycle", "a = Add(x, b) b = Relu(a) y = Relu(b)"))
    bad("defined_twice", model("defined_twice", "a = Relu(x) a = Tanh(x) y = Relu(a)"))
    bad("output_never_made", model("output_never_made", "z = Relu(x)"))
    bad("wrong_channels", model("wrong_channels", "y = Conv(x, w)", w=(4, 5, 3, 3)))
    bad("not_a_number", model("not_a_number", "y = Mul(x, c)", c=float("nan")))
    # Weights that are not there: too few bytes, more than any memory, more than 64 bits count,
    # a negative size, a file outside the model's folder.
    short = model("weight_too_short", "y = Conv(x, w)", w=(4, 3, 3, 3))
    short.graph.initializer[0].raw_data = short.graph.initializer[0].raw_data[:-4]
    bad("weight_too_short", short)
    sizes = {"enormous": [2**20, 2**20, 1], "overflowing": [2**31, 2**31, 2**31], "negative_size": [-3, -1, 1]}
    for name, dims in sizes.items():
        claim = model(f"weight_{name}", "y = Mul(x, c)", c=(3, 1, 1))
        claim.graph.initializer[0].dims[:] = dims
        bad(f"weight_{name}", claim)
    external = model("weight_external", "y = Mul(x, c)", c=(3, 1, 1))
    weight = external.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../../Cargo.toml")
    bad("weight_external", external)
    # Not ONNX: cut short, empty, text, and a protobuf that holds nothing.
    whole = model("truncated", "y = Conv(x, w)", w=(4, 3, 3, 3)).SerializeToString()
    bad("truncated", whole[: len(whole) // 2])
    bad("empty", b"")
    bad("text", b"This is not an ONNX file.\n")
    bad("no_graph", helper.make_model(onnx.GraphProto(), opset_imports=[helper.make_opsetid("", 17)]))


def main():
    BAD.mkdir(exist_ok=True)
    for old in [*HERE.glob("*.onnx"), *HERE.glob("*.npy"), *BAD.glob("*.onnx")]:
        old.unlink()
    for section in (
        convolutions,
        products,
        normalisations,
        arithmetic,
        activations,
        pools,
        shapes,
        plumbing,
        networks,
        refusals,
    ):
        section()
    print(len([*HERE.glob("*.onnx")]), "good files,", len([*BAD.glob("*.onnx")]), "bad ones")


if __name__ == "__main__":
    main()
