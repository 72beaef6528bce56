"""Models in which the file is the subject: constants, shapes, batches, types, and files that must be refused."""

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper
from write import IMAGE, bad, good, model


def computed_constants():
    """Shapes and masks that exporters compute from the input's shape, the batch being 1."""
    image = {"x": ("N", 3, 4, 5)}
    good(
        "shape_resize",
        """s = Shape(x) a = Slice(s, two, four) b = Mul(a, factors) c = Slice(s, zero, two) d = Concat<axis=0>(c, b)
        y = Resize<mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric">(x, "", "", d)""",
        zero=[0],
        two=[2],
        four=[4],
        factors=[2, 3],
        **image,
    )
    good(
        "shape_part",
        "s = Shape<start=1, end=3>(x) e = Expand(w, s) u = Unsqueeze(e, last) y = Add(x, u)",
        opset=15,
        w=1.5,
        last=[-1],
        **image,
    )
    good(
        "shape_range_mask",
        """s = Shape(x) n = Gather(s, last) r = Range(zero, n, one) m = Less(r, three)
        y = Where(m, x, nothing)""",
        last=np.int64(3),
        zero=np.int64(0),
        one=np.int64(1),
        three=np.int64(3),
        nothing=0.0,
        **image,
    )
    good(
        "shape_constant_of_shape",
        "s = Shape(x) c = ConstantOfShape<value = float[1] {0.5}>(s) y = Add(x, c)",
        x=(1, 3, 4, 5),
    )
    good("size_of_input", "n = Size(x) f = Cast<to=1>(n) y = Div(x, f)", x=(1, 3, 4, 5))
    good(
        "shape_split_heads",
        """s = Shape(x) n = Gather(s, zero) l = Gather(s, one) h = Div(d, two)
        a = Unsqueeze(n, zeros) b = Unsqueeze(l, zeros) c = Unsqueeze(two, zeros) e = Unsqueeze(h, zeros)
        t = Concat<axis=0>(a, b, c, e) r = Reshape(x, t) y = Transpose<perm=[0,2,1,3]>(r)""",
        x=("N", 3, 8),
        zero=np.int64(0),
        one=np.int64(1),
        two=np.int64(2),
        d=np.int64(8),
        zeros=[0],
    )


def batches():
    """Files whose batch is fixed to several samples, which their constants name."""
    four = {"x": (4, 3, 4, 5)}
    good("batch_fixed", "t = Conv(x, w) r = Relu(t) y = Reshape(r, s)", w=(2, 3, 3, 3), s=[4, -1], **four)
    good("batch_inferred", "y = Reshape(x, s)", s=[-1, 5, 12], **four)
    body = "s = Shape(x) n = Gather(s, f) t = Concat<axis=0>(n, r) y = Reshape(x, t)"
    good("batch_from_shape", body, f=[0], r=[60], **four)
    good("batch_expand", "y = Expand(x, s)", x=(4, 3, 1), s=[4, 3, 2])
    good("batch_sliced_whole", "y = Slice(x, b, e, a)", b=[0, 1], e=[4, 3], a=[0, 2], **four)
    good("batch_resize", 'y = Resize<mode="linear">(x, "", "", s)', s=[4, 3, 6, 7], opset=13, **four)


def weights():
    """Constants of other types than f32, and those behind QuantizeLinear."""
    rng = np.random.default_rng(7)

    def bytes_of(shape, kind):
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)

    half = rng.normal(size=(2, 3, 2, 3)).astype(np.float16)
    good("weights_half", "c = Cast<to=1>(w) y = Conv(x, c)", w=half)
    brain = half.astype(np.float32).astype(ml_dtypes.bfloat16)
    good("weights_bfloat16", "c = Cast<to=1>(w) y = Conv(x, c)", w=brain, evaluator=False)
    double = rng.normal(size=(3, 1, 1))
    good("weights_double", "d = Cast<to=11>(x) m = Mul(d, w) y = Cast<to=1>(m)", w=double)
    good("cast_like", "d = CastLike(x, w) m = Mul(d, w) y = Cast<to=1>(m)", w=double, opset=15)
    good(
        "weights_dequantized",
        "w = DequantizeLinear(q, s, z) b = DequantizeLinear(p, t) y = Conv(x, w, b)",
        q=bytes_of((2, 3, 2, 3), np.uint8),
        s=0.02,
        z=np.uint8(131),
        p=rng.integers(-5000, 5000, 2, np.int32),
        t=0.0004,
        opset=13,
        evaluator=False,
    )
    good(
        "weights_dequantized_axis",
        "w = DequantizeLinear<axis=0>(q, s, z) y = Conv(x, w)",
        q=bytes_of((2, 3, 2, 3), np.int8),
        s=[0.02, 0.05],
        z=np.int8([0, -3]),
        opset=13,
        evaluator=False,
    )
    good(
        "weights_dequantized_blocks",
        "w = DequantizeLinear<axis=0, block_size=2>(q, s) y = MatMul(x, w)",
        x=("N", 4),
        q=bytes_of((4, 3), np.int8),
        s=(2, 3),
        opset=21,
    )
    # Weights that the file rounds itself, as quantisation-aware training exports them.
    good(
        "weights_fake_quantized",
        "q = QuantizeLinear(w, s, z) d = DequantizeLinear(q, s, z) y = Conv(x, d)",
        w=(2, 3, 2, 3),
        s=0.1,
        z=np.int8(3),
        opset=21,
    )
    # Sixteen bits: real numbers as far as the corpus is compared.
    fine = {"s": 1 / 4096, "z": np.int16(0), "opset": 21}
    good("qdq_pair", "q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) y = Mul(d, c)", c=(3, 1, 1), **fine)
    # The ReLU behind the convolution is the saturation at zero.
    zero = {"s": 1 / 8192, "z": np.uint16(0), "opset": 21}
    body = "a = Conv(x, w) q = QuantizeLinear(a, s, z) y = DequantizeLinear(q, s, z)"
    good("qdq_instead_of_relu", body, w=(2, 3, 3, 3), **zero)
    good("qdq_after_relu", body.replace("Conv(x, w)", "Relu(x)"), **zero)


def plumbing():
    good("identity", "t = Identity(x) y = Identity(t)")
    good("dropout_opset_7", "y = Dropout<ratio=0.4>(x)", opset=7)
    good("dropout_opset_10", "t = Dropout<ratio=0.4>(x) y = Relu(t)", opset=10)
    good("dropout_opset_12", "y, mask = Dropout(x, ratio)", ratio=0.4, opset=12)
    good("dropout_opset_13", "y = Dropout(x, ratio, training)", ratio=0.4, training=np.bool_(False), opset=13)
    good("constant_value", "c = Constant<value = float[3,1,1] {0.5, -1.0, 2.0}>() y = Mul(x, c)", opset=9)
    good("constant_float", "c = Constant<value_float=0.25>() y = Add(x, c)")
    good("constant_floats", "c = Constant<value_floats=[1.0, 0.0, -1.0, 2.0, 3.0, 0.5]>() y = Mul(x, c)")
    good("constant_int", "c = Constant<value_int=2>() d = Cast<to=1>(c) y = Mul(x, d)")
    good("constant_ints", "c = Constant<value_ints=[0, -1]>() y = Reshape(x, c)")
    good("constant_expression", "d = Add(a, b) w = Mul(d, a) y = Conv(x, w)", a=(2, 3, 1, 1), b=(1, 3, 1, 1))
    good("unused_nodes", "a = Tanh(x) b = Softmax(a) y = Relu(x)")


def refusals():
    # Operators that cannot run encrypted: all of them are to be reported, by name.
    bad("floor", model("floor", "a = Floor(x) y = Relu(a)"))
    bad("softmax_batch", model("softmax_batch", "a = Softmax<axis=0>(x) y = Gemm(a, w)", x=("N", 4), w=(4, 3)))
    bad(
        "several_unsupported",
        model(
            "several_unsupported",
            """a = Conv(x, k) m = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a) b = Round(m) c = Reshape(b, shape)
            d = LSTM<hidden_size=3>(c, w, r) e = Squeeze(d, axes) f = Det(e) g = Flatten(f) y = Gemm(g, o)""",
            k=(4, 3, 3, 3),
            shape=[4, -1, 4],
            w=(1, 12, 4),
            r=(1, 12, 3),
            axes=[1],
            o=(3, 2),
        ),
    )
    bad(
        "weights_from_input",
        model("weights_from_input", "w = Reshape(x, shape) y = Conv(x, w)", x=(1, 3, 4, 4), shape=[3, 1, 4, 4]),
    )
    # A domain that is not ONNX's, even though the operator's name is.
    bad("foreign_domain", model("foreign_domain", "y = ai.example.Relu(x)", domain="ai.example"))
    # Operator sets outside 7 to 25, and none at all.
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
