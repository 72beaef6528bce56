"""Models as text, written with an input and the output that ONNX Runtime gives for it."""

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
    if isinstance(spec, np.ndarray):
        return spec
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
