"""Makes the corpus of tiny ONNX files that the frontend is tested on.

    pip install onnx onnxruntime ml_dtypes && python tests/onnx/make.py

Good files: `<name>.onnx`, a seeded normal input `<name>.x.npy` (f32, batch 1 unless the file fixes another) and ONNX
Runtime's output for it, `<name>.y.npy`; the output is checked against the ONNX reference evaluator before it is
written (`write.py`). Bad files: `bad/<name>.onnx`, each with the reason why it must be refused in a comment in
`files.py`. Layers and networks are here, movement of data in `movement.py`, what becomes activations and products in
`nonlinear.py`, ends of networks in `final.py`. Nothing here calls the compiler.
"""

import files
import final
import movement
import nonlinear
import numpy as np
from write import BAD, HERE, IMAGE, good


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
    conv("3d", "pads=[0,1,0,1,0,1], strides=[1,2,1]", x=("N", 2, 3, 5, 4), w=(3, 2, 2, 3, 2))


def transposed_convolutions():
    def conv(name, attributes="", x=("N", 3, 4, 5), w=(3, 2, 3, 2), b=None, **options):
        body = f"y = ConvTranspose<{attributes}>(x, w, b)".replace("<>", "")
        good(f"conv_transpose_{name}", body, x=x, w=w, b=b or (w[1],), **options)

    good("conv_transpose_no_bias", "y = ConvTranspose<strides=[2,2]>(x, w)", x=("N", 2, 3, 4), w=(2, 3, 2, 3))
    conv("plain")
    conv("pads", "pads=[1,0,2,1], strides=[2,3]")
    # More than the kernel reaches: input is cut off.
    conv("wide_pads", "pads=[3,2,2,1], strides=[2,1]")
    conv("output_padding", "strides=[3,2], output_padding=[2,1], pads=[1,1,1,1]")
    # The evaluator fails at a given shape and mixes up groups.
    conv("output_shape", "strides=[2,3], output_shape=[8,13]", evaluator=False)
    # Larger than anything reaches: only the bias stands there.
    conv("output_shape_beyond", "strides=[2,3], output_shape=[10,16]", evaluator=False)
    conv("output_shape_upper", 'strides=[2,2], output_shape=[8,9], auto_pad="SAME_UPPER"', evaluator=False)
    conv("dilations", "dilations=[2,3], strides=[2,1], pads=[1,2,0,1]")
    conv("groups", "group=2, strides=[1,2]", x=("N", 4, 3, 4), w=(4, 3, 2, 3), b=(6,), evaluator=False)
    conv("depthwise", "group=3, strides=[2,2], pads=[1,1,1,1]", w=(3, 1, 4, 3), b=(3,), evaluator=False)
    conv("same_upper", 'auto_pad="SAME_UPPER", strides=[2,3]', w=(3, 2, 3, 4))
    conv("same_lower", 'auto_pad="SAME_LOWER", strides=[2,3]', w=(3, 2, 3, 4))
    conv("valid", 'auto_pad="VALID", strides=[2,1]')
    conv("1d", "strides=[3], pads=[1,2]", x=("N", 2, 5), w=(2, 3, 4))
    conv("3d", "strides=[1,2,2], pads=[0,1,0,1,0,1]", x=("N", 2, 2, 3, 4), w=(2, 2, 2, 3, 2))


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

    def einsum(name, equation, operands="x", x=("N", 3, 4), **options):
        good(f"einsum_{name}", f'y = Einsum<equation="{equation}">({operands})', x=x, **options)

    einsum("dense", "bij,jk->bik", "x, w", w=(4, 5))
    einsum("dense_left", "kj,bij->bki", "w, x", w=(5, 4))
    einsum("heads", "bsd,hdk->bhsk", "x, w", x=("N", 2, 3), w=(4, 3, 5))
    einsum("batched", "bhij,hjk->bhik", "x, w", x=("N", 2, 3, 4), w=(2, 4, 5))
    einsum("scaled", "bij,j->bij", "x, w", w=(4,))
    einsum("outer", "bi,j->bji", "x, w", x=("N", 3), w=(4,))
    einsum("implicit", "ab,bc", "x, w", x=("N", 3), w=(3, 4))
    einsum("transpose", "bij->bji")
    einsum("sum", "bij->bj")
    einsum("diagonal", "bii->bi", x=("N", 4, 4))
    einsum("trace", "bii->b", x=("N", 4, 4))
    einsum("ellipsis", "b...j,jk->b...k", "x, w", x=("N", 2, 3, 4), w=(4, 5))
    einsum("ellipsis_broadcast", "...ij,...jk->...ik", "x, w", x=("N", 2, 3, 4), w=(1, 2, 4, 5))
    einsum("constant_sum", "bij,jkl->bik", "x, w", w=(4, 2, 3))
    einsum("three", "bij,jk,kl->bil", "x, w, v", w=(4, 2), v=(2, 5))


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
    good("sum_several", "t = Conv(x, w) y = Sum(x, t, c, x)", w=(3, 3, 1, 1), c=(3, 1, 1))
    good("mean_several", "t = Conv(x, w) y = Mean(x, t, c)", w=(3, 3, 1, 1), c=(3, 1, 1))
    for name, attributes in (("", ""), ("_exclusive", "<exclusive=1>"), ("_reverse", "<reverse=1, exclusive=1>")):
        good(f"cumsum{name}", f"y = CumSum{attributes}(x, axis)", x=("N", 3, 4, 2), axis=np.int64(-2))
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
    for opset in (7, 23, 25):
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


def main():
    BAD.mkdir(exist_ok=True)
    for old in [*HERE.glob("*.onnx"), *HERE.glob("*.npy"), *BAD.glob("*.onnx")]:
        old.unlink()
    for section in (
        convolutions,
        transposed_convolutions,
        movement.resampling,
        products,
        normalisations,
        arithmetic,
        activations,
        pools,
        movement.shapes,
        movement.choices,
        files.computed_constants,
        files.batches,
        files.weights,
        files.plumbing,
        nonlinear.all,
        networks,
        final.final_operators,
        files.refusals,
    ):
        section()
    print(len([*HERE.glob("*.onnx")]), "good files,", len([*BAD.glob("*.onnx")]), "bad ones")


if __name__ == "__main__":
    main()
