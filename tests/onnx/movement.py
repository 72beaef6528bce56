"""Models of operators that move, repeat, choose or resample elements."""

import numpy as np
from write import good


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
    narrow = {"x": ("N", 2, 4, 5), "pads": [0, 0, 2, 3, 0, 0, 1, 4]}
    for mode, opset in (("reflect", 11), ("edge", 13), ("wrap", 19)):
        good(f"pad_{mode}", f'y = Pad<mode="{mode}">(x, pads)', opset=opset, **narrow)
    good("pad_edge_opset_7", 'y = Pad<mode="edge", pads=[0,0,1,2,0,1,3,0]>(x)', x=("N", 2, 4, 5), opset=7)


def choices():
    small = {"x": ("N", 4, 3, 5)}
    good("gather_channels", "y = Gather<axis=1>(x, i)", i=[2, -1, 0], **small)
    good("gather_matrix", "y = Gather<axis=-2>(x, i)", i=np.int64([[2, 0], [1, -3]]), **small)
    good("gather_scalar", "y = Gather<axis=2>(x, i)", i=np.int64(-1), **small)
    places = np.int64([[[[0, 3, 1], [-1, 2, 0]], [[3, 1, 2], [0, 0, -4]]]])
    good("gather_elements", "y = GatherElements<axis=1>(x, i)", x=(1, 4, 3, 5), i=places, evaluator=False)
    pairs = np.int64([[[0, 1, 2], [0, -1, 0]]])
    good("gather_nd", "y = GatherND(x, i)", x=(1, 4, 3, 5), i=pairs)
    inner = np.int64([[[[1, 2], [-1, 0]], [[0, 4], [2, 2]], [[0, 0], [1, 1]], [[2, 0], [0, -2]]]])
    good("gather_nd_batch", "y = GatherND<batch_dims=2>(x, i)", x=(1, 4, 3, 5), i=inner)
    put = np.int64([[[[2, 0]], [[1, 3]], [[0, -1]]]])
    good("scatter_elements", "y = ScatterElements<axis=3>(x, i, u)", x=(1, 3, 2, 4), i=put, u=(1, 3, 1, 2))
    added = 'u = Slice(x, b, e, a) y = ScatterElements<axis=3, reduction="add">(x, i, u)'
    twice = np.int64([[[[2, 0, 2]], [[1, 3, 3]], [[0, -1, 0]]]])
    good("scatter_elements_add", added, x=(1, 3, 2, 4), i=twice, b=[1, 0], e=[2, 3], a=[2, 3])
    # An assignment to a part, as exporters write it.
    rows = np.int64([[[0, 2], [0, 0]]])
    body = "u = Slice(x, b, e, a) n = Neg(u) y = ScatterND(x, i, n)"
    good("scatter_nd", body, x=(1, 3, 4), i=rows, b=[1], e=[3], a=[1])
    good("scatter_nd_into_constant", "y = ScatterND(c, i, x)", x=(1, 2, 4), c=(1, 3, 4), i=rows)
    good("compress", "y = Compress<axis=2>(x, c)", c=np.array([True, False, True]), **small)
    mask = np.array([[True, False, True, False, False], [False] * 5, [True] * 5])
    good("where_constant_right", "y = Where(c, x, k)", c=mask, k=(3, 5), **small)
    # An attention mask: infinite where it is not chosen.
    infinite = np.where(mask, 2.5, -np.inf).astype(np.float32)
    good("where_constant_left", "y = Where(c, k, x)", c=mask, k=infinite, **small)
    good("where_two", "t = Neg(x) y = Where(c, t, x)", c=mask[:, :1], **small)
    good("where_widening", "y = Where(c, x, k)", x=("N", 4, 1, 5), c=mask, k=1.5)

    pixels = {"x": ("N", 12, 2, 3)}
    good("depth_to_space", "y = DepthToSpace<blocksize=2>(x)", opset=9, **pixels)
    good("depth_to_space_crd", 'y = DepthToSpace<blocksize=2, mode="CRD">(x)', **pixels)
    good("space_to_depth", "y = SpaceToDepth<blocksize=2>(x)", x=("N", 2, 4, 6))
    good("tile", "y = Tile(x, r)", r=[1, 2, 1, 3], x=("N", 2, 3, 4))
    good("trilu", "y = Trilu(x)", x=("N", 2, 4, 3))
    good("trilu_lower", "y = Trilu<upper=0>(x, k)", x=("N", 2, 4, 5), k=np.int64(-1))
    good("reverse_sequence", "y = ReverseSequence<time_axis=1, batch_axis=0>(x, l)", x=(1, 5, 3), l=[4])
    good("expand", "y = Expand(x, s)", x=("N", 3, 1, 4), s=[1, 1, 2, 1])
    good("expand_low_rank", "y = Expand(x, s)", x=("N", 3, 1, 4), s=[5, 4])


def resampling():
    image = {"x": ("N", 2, 4, 5)}

    def resize(name, attributes, scales=None, sizes=None, x=image["x"], opset=18, evaluator=True, **options):
        """By scales or by sizes; the other operand is absent."""
        operands = "x, region, scales" if scales else "x, region, absent, sizes"
        if "region" not in options:
            operands = operands.replace("region", "").replace("x, ,", 'x, "",')
        operands = operands.replace("absent", '""')
        changes = {"scales": np.float32(scales).reshape(-1)} if scales else {"sizes": sizes}
        body = f"y = Resize<{attributes}>({operands})".replace("<>", "")
        good(f"resize_{name}", body, x=x, opset=opset, evaluator=evaluator, **changes, **options)

    coordinates = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        for mode in coordinates:
            attributes = f'mode="nearest", nearest_mode="{rounding}", coordinate_transformation_mode="{mode}"'
            resize(f"nearest_{rounding}_{mode}", attributes, sizes=[1, 2, 7, 3], opset=13)
    for mode in (*coordinates, "half_pixel_symmetric"):
        attributes = f'mode="linear", coordinate_transformation_mode="{mode}"'
        opset = 19 if mode == "half_pixel_symmetric" else 13
        resize(f"linear_{mode}", attributes, sizes=[1, 2, 7, 3], opset=opset)
    resize("nearest_twice", "", scales=[1, 1, 2, 3])
    resize("linear_twice", 'mode="linear"', scales=[1, 1, 2, 3], opset=11, region=np.float32([]))
    resize("linear_one", 'mode="linear", coordinate_transformation_mode="pytorch_half_pixel"', sizes=[1, 2, 1, 4])
    resize("linear_1d", 'mode="linear"', scales=[1, 1, 2.5], x=("N", 3, 6))
    resize("linear_3d", 'mode="linear"', scales=[1, 1, 2, 0.5, 1.5], x=("N", 2, 2, 4, 4))
    resize("nearest_channels", 'mode="nearest"', scales=[1, 2, 1, 2])
    resize("axes", 'mode="linear", axes=[3,2]', sizes=[9, 6])
    resize("not_larger", 'mode="linear", axes=[2,3], keep_aspect_ratio_policy="not_larger"', sizes=[8, 7])
    resize("not_smaller", 'mode="nearest", axes=[2,3], keep_aspect_ratio_policy="not_smaller"', sizes=[8, 7])
    resize("cubic", 'mode="cubic"', sizes=[1, 2, 7, 9], opset=13)
    resize("cubic_coefficient", 'mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1', sizes=[1, 2, 3, 9], opset=13)
    resize("linear_antialias", 'mode="linear", antialias=1', sizes=[1, 2, 4, 3], x=("N", 2, 9, 8))
    resize("cubic_antialias", 'mode="cubic", antialias=1', sizes=[1, 2, 4, 3], x=("N", 2, 9, 8))
    crop = 'mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=2.5'
    region = np.float32([0, 0, 0.2, 0.4, 1, 1, 0.9, 1.3])
    resize("crop", crop, sizes=[1, 2, 6, 7], opset=13, region=region)
    by_scale = "y = Upsample<mode={mode}>(x, scales)"
    scales = np.float32([1, 1, 2, 3])
    good("upsample_nearest", by_scale.format(mode='"nearest"'), opset=9, evaluator=False, scales=scales, **image)
    good("upsample_linear", by_scale.format(mode='"linear"'), opset=9, evaluator=False, scales=scales, **image)
    attributes = 'mode="nearest", scales=[1.0,1.0,2.0,3.0]'
    good("upsample_opset_7", f"y = Upsample<{attributes}>(x)", opset=7, evaluator=False, **image)
    good("resize_opset_10", 'y = Resize<mode="linear">(x, scales)', opset=10, evaluator=False, scales=scales, **image)
