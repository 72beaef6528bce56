"""Writes ONNX's own test cases of operators as models of one input, for the importer to be held to.

    pip install onnx ml_dtypes && python tests/onnx/conformance.py DIRECTORY
    PIC_ONNX_CASES=DIRECTORY cargo test -p pic-compiler --test frontend conformance -- --nocapture

Of a case with several inputs one model is written for each, in which the others are constants; of one with several
outputs, one model for each. A model `<operator>__<case>__<input>__<output>.onnx` comes with its input `.x.npy` and the
expected output `.y.npy`, both f32. The first axis is the batch, as everywhere; where an operator can be given another
axis in front, a second model `…__batch.onnx` has it, as most cases act on what would be the batch. Nothing here calls
the compiler.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

# The newest operator set that the importer knows. Later ones changed nothing that cases of older operators show.
OPSET = 25
COMPARISONS = ("Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal", "And", "Or", "Xor")
ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Pow", "Sum", "Mean", "Where", "PRelu", "Min", "Max", *COMPARISONS)
REDUCTIONS = (
    *(f"Reduce{what}" for what in ("Sum", "Mean", "L1", "L2", "SumSquare", "LogSum", "LogSumExp", "Max", "Min")),
    "Squeeze",
    "Unsqueeze",
    "CumSum",
)
NORMALISATIONS = ("LayerNormalization", "RMSNormalization", "LpNormalization", "Softmax", "LogSoftmax")


# Operators with results of integers.
POSITIONS = ("ArgMax", "ArgMin", "TopK")


def is_real(value, kinds="f"):
    return isinstance(value, np.ndarray) and value.ndim > 0 and value.size > 0 and value.dtype.kind in kinds


def single(model, inputs, chosen, output):
    """The model with one input and one output, all other inputs being constants."""
    proto = onnx.ModelProto()
    proto.CopyFrom(model)
    for opset in proto.opset_import:
        if opset.domain == "":
            opset.version = min(opset.version, OPSET)
    graph = proto.graph
    for value, data in zip(model.graph.input, inputs, strict=True):
        if value.name != chosen:
            graph.initializer.append(numpy_helper.from_array(data, value.name))
    kept = [value for value in model.graph.input if value.name == chosen]
    del graph.input[:]
    graph.input.extend(kept)
    del graph.output[:]
    graph.output.append(model.graph.output[output])
    graph.output[0].type.tensor_type.ClearField("shape")
    if graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.BOOL:
        # Truth as a number.
        truth = graph.output[0].name
        graph.node.append(helper.make_node("Cast", [truth], ["number"], to=onnx.TensorProto.FLOAT))
        graph.output[0].name = "number"
        graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return proto


def shifted(axes):
    """Axes of a tensor behind a new one; negative ones count from the end and stay."""
    return np.where(np.asarray(axes) < 0, axes, np.asarray(axes) + 1).astype(np.int64)


def batched(node, inputs):
    """The inputs of a node with an axis in front, to which its attributes and constants are changed; none if it
    cannot be given one."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    data, rank = [x[None] if isinstance(x, np.ndarray) else x for x in inputs], inputs[0].ndim
    kept = [*data[:1], *inputs[1:]]
    match node.op_type:
        case op if op in ELEMENTWISE:
            ranks = max(x.ndim for x in inputs)
            data = [x.reshape(1, *(1,) * (ranks - x.ndim), *x.shape) for x in inputs]
        case "Concat":
            attributes["axis"] = int(shifted(attributes["axis"]))
        case "Gather" | "Split":
            data = kept
            attributes["axis"] = int(shifted(attributes.get("axis", 0)))
        case "Softmax" | "LogSoftmax" | "ArgMax" | "ArgMin" | "TopK":
            data = kept
            default = {"ArgMax": 0, "ArgMin": 0}.get(node.op_type, -1)
            attributes["axis"] = int(shifted(attributes.get("axis", default)))
        case "GatherElements":
            attributes["axis"] = int(shifted(attributes.get("axis", 0)))
        case "GatherND":
            attributes["batch_dims"] = attributes.get("batch_dims", 0) + 1
        case "Compress" if "axis" in attributes:
            data = kept
            attributes["axis"] = int(shifted(attributes["axis"]))
        case "Transpose":
            order = attributes.get("perm", range(rank - 1, -1, -1))
            attributes["perm"] = [0, *(int(a) + 1 for a in order)]
        case "Slice" if len(inputs) > 3:
            data = [*kept[:3], shifted(inputs[3]), *inputs[4:]]
        case op if op in REDUCTIONS and len(inputs) > 1 and inputs[1].size:
            data = [*kept[:1], shifted(inputs[1]), *inputs[2:]]
        case op if op in REDUCTIONS and "axes" in attributes:
            attributes["axes"] = [int(a) for a in shifted(attributes["axes"])]
        case op if op in NORMALISATIONS:
            data = kept
            attributes["axis"] = int(shifted(attributes.get("axis", -1)))
        case "MatMul" if rank > 1 and inputs[1].ndim > 1:
            ranks = max(x.ndim for x in inputs)
            data = [x.reshape(1, *(1,) * (ranks - x.ndim), *x.shape) for x in inputs]
        case "Tile" | "Reshape":
            data = [*kept[:1], np.concatenate([[1], inputs[1]])]
        case "Expand" if inputs[1].size == rank:
            data = [*kept[:1], np.concatenate([[1], inputs[1]])]
        case "Pad" if len(inputs) < 4:
            pads = np.insert(inputs[1], [0, rank], 0)
            data = [*kept[:1], pads, *inputs[2:]]
        case "Einsum" if "->" in (equation := attributes["equation"].decode()):
            left, right = equation.split("->")
            attributes["equation"] = f"Z{left.strip()}->Z{right.strip()}"
            data = kept
        case "Trilu":
            data = kept
        case "ReverseSequence":
            data = kept
            attributes |= {"batch_axis": attributes.get("batch_axis", 1) + 1}
            attributes |= {"time_axis": attributes.get("time_axis", 0) + 1}
        case "DequantizeLinear":
            data = [*kept[:1], *(x[None] if x.ndim == rank else x for x in inputs[1:])]
            attributes["axis"] = int(shifted(attributes.get("axis", 1)))
        case _:
            return None
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return data


def save(folder, name, proto, x, y):
    (folder / f"{name}.onnx").write_bytes(proto.SerializeToString())
    np.save(folder / f"{name}.x.npy", x.astype(np.float32))
    np.save(folder / f"{name}.y.npy", y.astype(np.float32))


def write(case, folder):
    """Writes the models of a case and returns their number."""
    inputs, outputs = ([np.asarray(x) if isinstance(x, np.generic) else x for x in side] for side in case.data_sets[0])
    graph = case.model.graph
    if len(graph.node) == 1 and graph.node[0].op_type == "Trilu":
        # Its cases are of integers.
        inputs[0], outputs[0] = inputs[0].astype(np.float32), outputs[0].astype(np.float32)
        graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    operator = graph.node[0].op_type if len(graph.node) == 1 else "(several)"
    if not all(isinstance(data, np.ndarray) for data in inputs) or len(inputs) != len(graph.input):
        return 0
    behind = onnx.ModelProto()
    behind.CopyFrom(case.model)
    data = batched(behind.graph.node[0], inputs) if operator != "(several)" and inputs else None
    for value, array in zip(behind.graph.input, data or [], strict=False):
        kind = value.type.tensor_type.elem_type
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, array.shape))
    count = 0
    for k, x in enumerate(inputs):
        for output, y in enumerate(outputs):
            is_chosen = is_real(x) or (operator == "DequantizeLinear" and k == 0 and x.dtype.kind in "iu")
            if not (is_chosen and is_real(y, "fib" if operator in POSITIONS else "fb")):
                continue
            if not (np.isfinite(x.astype(np.float32)).all() and np.isfinite(y.astype(np.float32)).all()):
                continue
            chosen, name = graph.input[k].name, f"{operator}__{case.name}__{k}__{output}"
            save(folder, name, single(case.model, inputs, chosen, output), x, y)
            count += 1
            if data is not None and data[k].ndim > x.ndim:
                save(folder, f"{name}__batch", single(behind, data, chosen, output), data[k], y[None])
                count += 1
    return count


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    cases = [case for case in collect_testcases(None) if case.model is not None]
    print(sum(write(case, folder) for case in cases), "models of", len(cases), "cases")


if __name__ == "__main__":
    main()
