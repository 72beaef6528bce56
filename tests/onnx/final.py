"""Ends of networks that are left to the client, who computes them from decrypted outputs."""

from write import good


def final_operators():
    image = {"x": ("N", 3, 4, 5)}
    good("final_softmax", "a = Gemm(x, w) y = Softmax(a)", x=("N", 5), w=(5, 4))
    good("final_softmax_channels", "a = Conv(x, w) y = Softmax<axis=1>(a)", w=(4, 3, 3, 3), **image)
    # Below opset 13 everything from the axis on is one row, which the evaluator does not know.
    good("final_softmax_opset_7", "y = Softmax(x)", evaluator=False, opset=7, **image)
    good("final_softmax_opset_12", "y = Softmax<axis=2>(x)", evaluator=False, opset=12, **image)
    good("final_log_softmax", "a = Gemm(x, w) y = LogSoftmax<axis=-1>(a)", x=("N", 5), w=(5, 4))
    good("final_log_softmax_opset_9", "y = LogSoftmax<axis=1>(x)", evaluator=False, opset=9, **image)
    good(
        "final_softmax_moved",
        "a = Transpose<perm=[0,2,3,1]>(x) b = Softmax<axis=3>(a) y = Transpose<perm=[0,3,1,2]>(b)",
        opset=11,
        **image,
    )
    good("final_softmax_of_one_class", "a = Softmax(x) y = Gather<axis=1>(a, k)", x=("N", 3), k=[2])
    good("final_softmax_sliced", "a = Softmax(x) y = Slice(a, b, e, d)", x=("N", 5), b=[1], e=[4], d=[1])
    good(
        "final_softmax_reshaped",
        "a = Softmax<axis=1>(x) h = Shape(a) n = Gather(h, f) t = Concat<axis=0>(n, r) y = Reshape(a, t)",
        f=[0],
        r=[-1],
        **image,
    )
    good("final_softmax_clipped", "a = Softmax(x) y = Clip(a, low, high)", low=0.2, high=0.3, **image)
    good("final_softmax_of_sigmoid", "a = Sigmoid(x) y = Softmax(a)", **image)
    good("final_softmax_batch", "y = Softmax<axis=1>(x)", x=(4, 3, 4, 5))
    good("final_arg_max", "a = ArgMax<axis=1>(x) y = Cast<to=1>(a)", **image)
    good("final_arg_max_squeezed", "a = ArgMax<axis=-1, keepdims=0>(x) y = Cast<to=1>(a)", x=("N", 7))
    # Several elements are the largest.
    for name, choice in (("first", ""), ("last", ", select_last_index=1")):
        body = f"c = Clip(x, low, high) a = ArgMax<axis=2{choice}>(c) y = Cast<to=1>(a)"
        good(f"final_arg_max_{name}", body, low=0.0, high=0.1, **image)
    good("final_arg_min", "a = ArgMin<axis=1, keepdims=0>(x) y = Cast<to=1>(a)", **image)
    good("final_softmax_arg_max", "a = Softmax(x) b = ArgMax<axis=3>(a) c = Cast<to=6>(b) y = Cast<to=1>(c)", **image)
    body = "a = Gemm(x, w) b = Tanh(a) c = Gemm(b, v)"
    weights = {"x": ("N", 5), "w": (5, 6), "v": (6, 4)}
    good("final_softmax_of_network", f"{body} y = Softmax(c)", **weights)
    good("final_sigmoid_of_network", f"{body} y = Sigmoid(c)", x=("N", 5), w=(5, 6), v=(6, 1))
    good("final_clip_of_network", f"{body} d = Relu(c) y = Clip(d, low, high)", low=-1.0, high=0.5, **weights)
    good("final_top_k", "y, i = TopK<axis=1>(x, k)", k=[2], **image)
    good("final_top_k_positions", "v, i = TopK(x, k) y = Cast<to=1>(i)", k=[3], **image)
    good("final_top_k_opset_9", "y, i = TopK<k=4>(x)", opset=9, x=("N", 7))
