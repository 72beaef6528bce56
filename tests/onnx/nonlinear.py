"""Models of operators that become activations and products: functions, extrema, norms, normalisations, comparisons,
and products of encrypted tensors. Where a function has no value for every number, another one comes before it."""

import numpy as np
from write import good

ROW = ("N", 12)
POSITIVE = "p = Softplus(x) y = "


def functions():
    for name in ("Abs", "Exp", "Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh", "Softsign", "Selu"):
        good(name.lower(), f"y = {name}(x)", opset=22)
    good("sign", "y = Sign(x)")
    good("mish", "y = Mish(x)", opset=18)
    good("celu", "y = Celu<alpha=0.7>(x)")
    good("selu_parameters", "y = Selu<alpha=1.2, gamma=0.8>(x)")
    good("thresholded_relu", "y = ThresholdedRelu<alpha=0.6>(x)")
    good("shrink_outwards", "y = Shrink<lambd=0.7, bias=-0.3>(x)")
    good("shrink", "y = Shrink<lambd=0.7, bias=0.3>(x)")
    good("swish", "y = Swish<alpha=1.3>(x)", opset=24, evaluator=False)
    for name in ("Log", "Sqrt", "Reciprocal"):
        good(name.lower(), f"{POSITIVE}{name}(p)")
    good("tan", "h = HardSigmoid(x) y = Tan(h)")
    bounded = "h = HardSigmoid<alpha=0.1, beta=0.4>(x) y = "
    for name in ("Asin", "Acos", "Atanh"):
        good(name.lower(), f"{bounded}{name}(h)", opset=22)
    good("acosh", "e = Abs(x) p = Add(e, c) y = Acosh(p)", c=1.5, opset=22)
    good("pow_fraction", f"{POSITIVE}Pow(p, e)", e=1.5)
    good("pow_root", f"{POSITIVE}Pow(p, e)", e=0.5)
    good("pow_negative", f"{POSITIVE}Pow(p, e)", e=-2.0)
    good("pow_of_constant", "y = Pow(c, x)", c=2.0)
    good("div_two", "t = Sigmoid(x) y = Div(x, t)")
    good("div_two_broadcast", "t = Sigmoid(x) m = ReduceMean<axes=[1]>(t) y = Div(x, m)")
    good("div_const_left", "t = Sigmoid(x) y = Div(c, t)", c=(3, 1, 1))


def extrema():
    def pool(name, attributes, x=("N", 2, 7, 7), **options):
        good(f"max_pool_{name}", f"y = MaxPool<{attributes}>(x)", x=x, **options)

    pool("plain", "kernel_shape=[2,2], strides=[2,2]")
    pool("overlapping", "kernel_shape=[3,3], strides=[2,2]")
    pool("pads", "kernel_shape=[3,2], pads=[1,0,1,1]", evaluator=False)
    pool("dilations", "kernel_shape=[2,3], dilations=[3,2]")
    pool("ceil", "kernel_shape=[2,2], strides=[2,2], ceil_mode=1", evaluator=False)
    pool("same_lower", 'kernel_shape=[3,3], auto_pad="SAME_LOWER", strides=[2,2]', evaluator=False)
    pool("1d", "kernel_shape=[3], strides=[2]", x=("N", 3, 9))
    pool("3d", "kernel_shape=[2,2,2]", x=("N", 2, 3, 4, 3))
    good("global_max_pool", "y = GlobalMaxPool(x)")
    good("reduce_max", "y = ReduceMax<axes=[1,3], keepdims=0>(x)")
    good("reduce_max_opset_18", "y = ReduceMax(x, a)", a=[-1], opset=18)
    good("reduce_min", "y = ReduceMin<axes=[2]>(x)")
    good("max_three", "a = Neg(x) b = Sin(x) y = Max(x, a, b)")
    good("max_with_constants", "a = Neg(x) y = Max(x, c, a, d)", c=(3, 1, 1), d=0.1)
    good("min_three", "a = Neg(x) b = Cos(x) y = Min(a, b, x)")


def reductions():
    for name in ("L1", "L2", "SumSquare", "LogSumExp"):
        good(f"reduce_{name.lower()}", f"y = Reduce{name}<axes=[1,2], keepdims=0>(x)")
        good(f"reduce_{name.lower()}_opset_18", f"y = Reduce{name}(x, a)", a=[-1], opset=18)
    good("reduce_sumsquare_noop", "y = ReduceSumSquare<noop_with_empty_axes=1>(x)", opset=18)
    good("reduce_l2_noop", "y = ReduceL2<noop_with_empty_axes=1>(x)", opset=18)
    good("reduce_mean_twice", "y = ReduceMean(x, a)", a=[2, -2], opset=18, evaluator=False)
    good("reduce_log_sum", "p = Exp(x) y = ReduceLogSum<axes=[2]>(p)")
    good("lp_pool", "y = LpPool<kernel_shape=[2,3], strides=[2,1], p=2>(x)", evaluator=False)
    good("lp_pool_1", "y = LpPool<kernel_shape=[2,2], p=1>(x)", evaluator=False)
    good("global_lp_pool", "y = GlobalLpPool<p=2>(x)", evaluator=False)
    inside = "y = Gemm(s, w)"
    good("softmax_inside", f"s = Softmax(x) {inside}", x=ROW, w=(12, 3))
    good("softmax_two", f"r = Reshape(x, t) p = Softmax(r) s = Flatten(p) {inside}", x=ROW, w=(12, 3), t=[-1, 6, 2])
    good("softmax_axis", "s = Softmax<axis=1>(x) y = Relu(s)")
    good("softmax_opset_11", "s = Softmax<axis=2>(x) y = Relu(s)", opset=11, evaluator=False)
    good("log_softmax_inside", f"s = LogSoftmax(x) {inside}", x=ROW, w=(12, 3))


def normalisations():
    good("layer_normalization", "y = LayerNormalization(x, g, b)", x=("N", 5, 8), g=(8,), b=(8,))
    good("layer_normalization_axes", "y = LayerNormalization<axis=1, epsilon=0.01>(x, g)", g=(3, 6, 6))
    body = """m = ReduceMean<axes=[-1]>(x) d = Sub(x, m) s = Mul(d, d) v = ReduceMean<axes=[-1]>(s) e = Add(v, c)
    r = Sqrt(e) n = Div(d, r) a = Mul(n, g) y = Add(a, b)"""
    good("layer_normalization_written_out", body, x=("N", 5, 8), c=1e-5, g=(8,), b=(8,))
    good("rms_normalization", "y = RMSNormalization(x, g)", x=("N", 5, 8), g=(8,), opset=23, evaluator=False)
    good("instance_normalization", "y = InstanceNormalization(x, g, b)", g=(3,), b=(3,))
    good(
        "group_normalization",
        "y = GroupNormalization<num_groups=2>(x, g, b)",
        x=("N", 4, 5, 3),
        g=(4,),
        b=(4,),
        opset=21,
        evaluator=False,
    )
    good("lp_normalization", "y = LpNormalization<axis=1, p=2>(x)")
    good("lp_normalization_1", "y = LpNormalization<axis=-1, p=1>(x)", evaluator=False)
    good("mean_variance_normalization", "y = MeanVarianceNormalization<axes=[2,3]>(x)")
    good("lrn", "y = LRN<size=3, alpha=0.5, beta=0.75, bias=1.0>(x)", x=("N", 5, 3, 2), evaluator=False)


def comparisons():
    good("greater", "m = Greater(x, c) y = Cast<to=1>(m)", c=(3, 1, 1))
    good("less_two", "t = Neg(x) m = Less(x, t) y = Cast<to=1>(m)")
    good("less_or_equal", "m = LessOrEqual(x, c) y = Cast<to=1>(m)", c=0.3)
    good("greater_or_equal", "m = GreaterOrEqual(x, c) y = Cast<to=1>(m)", c=0.3)
    for name in ("And", "Or", "Xor"):
        body = f"a = Greater(x, l) b = Less(x, h) m = {name}(a, b) n = Not(m) y = Cast<to=1>(n)"
        good(f"logic_{name.lower()}", body, l=0.5, h=-0.4)
    truth = np.bool_([[[True]], [[False]], [[True]]])
    good("logic_constant", "a = Greater(x, l) m = Or(a, c) y = Cast<to=1>(m)", l=0.2, c=truth)
    good("where_encrypted", "m = Greater(x, c) t = Sin(x) y = Where(m, t, x)", c=0.2)
    good("where_constants", "m = Greater(x, c) y = Where(m, a, b)", c=0.2, a=1.5, b=(3, 1, 1))
    good("where_constant", "m = Less(x, c) y = Where(m, a, x)", c=0.2, a=(3, 1, 1))
    good("where_threshold", "m = Greater(x, c) y = Where(m, x, z)", c=0.05, z=0.0)
    good("where_leaky_relu", "m = Greater(x, c) t = Mul(x, s) y = Where(m, x, t)", c=0.0, s=0.1)


def products_of_encrypted():
    good("matmul_two", "t = Transpose<perm=[0,2,1]>(x) y = MatMul(x, t)", x=("N", 3, 4))
    good("matmul_stacks", "t = Transpose<perm=[0,1,3,2]>(x) y = MatMul(x, t)", x=("N", 2, 3, 4))
    body = "m = ReduceMean<axes=[1]>(x) t = Transpose<perm=[0,1,3,2]>(x) y = MatMul(m, t)"
    good("matmul_broadcast", body, x=("N", 2, 3, 4))
    good("einsum_two", 'y = Einsum<equation="bik,bjk->bij">(x, x)', x=("N", 3, 4))
    good("einsum_two_ellipsis", 'y = Einsum<equation="b...k,b...k->b...">(x, x)', x=("N", 3, 4))
    good(
        "attention",
        """q0 = MatMul(x, wq) k0 = MatMul(x, wk) v0 = MatMul(x, wv) q1 = Reshape(q0, s) k1 = Reshape(k0, s)
        v1 = Reshape(v0, s) q = Transpose<perm=[0,2,1,3]>(q1) k = Transpose<perm=[0,2,3,1]>(k1)
        v = Transpose<perm=[0,2,1,3]>(v1) a = MatMul(q, k) b = Div(a, d) p = Softmax(b) o = MatMul(p, v)
        t = Transpose<perm=[0,2,1,3]>(o) f = Reshape(t, r) y = MatMul(f, wo)""",
        x=("N", 4, 6),
        wq=(6, 6),
        wk=(6, 6),
        wv=(6, 6),
        wo=(6, 6),
        d=1.7320508,
        s=[-1, 4, 2, 3],
        r=[-1, 4, 6],
    )


def all():
    for section in (functions, extrema, reductions, normalisations, comparisons, products_of_encrypted):
        section()
