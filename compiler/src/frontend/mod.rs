//! Import of an ONNX file as a [`Network`].
//!
//! The protobuf is decoded with tract's public types and lowered node by node, so that the ONNX
//! identity of every operator is kept. Nodes whose operands are all constants are folded
//! (`fold`); every other node goes through the one table of operators in `operators`. A node
//! that cannot run on encrypted data does not stop the walk: all of them are reported together.
//!
//! Nothing is rewritten here: normalisations, activations written as primitives and chains of
//! linear operators are left for [`crate::rewrite`].
//!
//! Files come from outside. Every extent is checked before anything is allocated, and a panic
//! inside tract becomes an error.

mod context;
mod error;
mod fold;
mod graph;
mod operators;
mod portable;
mod quantization;
mod tail;
mod tensor;

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use pic_ir::network::Network;
use pic_ir::postprocessing::Postprocessing;
use tract_onnx::pb::{ModelProto, NodeProto};
use tract_onnx::prelude::Framework;

pub use error::{Fault, ImportError, InputFault, Refusal, StructureFault, TensorFault};

use context::{Builder, Context, Value};
use graph::Graph;
use tail::Tail;

/// An imported network, what follows it in the file, and where both deliberately differ from the file.
#[derive(Clone, Debug)]
pub struct Import {
    /// The network, verified.
    pub network: Network,
    /// The end of the file that is left to the client, such as a final Softmax; it fits the network's output.
    pub postprocessing: Postprocessing,
    /// Differences from the file.
    pub notes: Vec<Note>,
}

/// A difference between the file and the imported network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The network is computed in real numbers where the file rounds to integers. Saturation at zero, by which
    /// quantisers replace a ReLU, is kept.
    RoundingDropped {
        /// Number of pairs of `QuantizeLinear` and `DequantizeLinear`.
        pairs: usize,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoundingDropped { pairs } => write!(
                f,
                "{pairs} pair(s) of QuantizeLinear and DequantizeLinear are read as real numbers: the network is computed without their rounding"
            ),
        }
    }
}

/// Imports an ONNX model. The batch axis is dropped: the network describes one sample.
///
/// # Errors
/// [`ImportError`]; with [`ImportError::Nodes`] for all nodes that cannot be imported together.
pub fn import(bytes: &[u8]) -> Result<Import, ImportError> {
    import_model(&decode(bytes)?)
}

/// Imports the ONNX model in a file; errors name the file.
///
/// # Errors
/// [`ImportError::File`], with [`ImportError::Read`] or an error of [`import`] inside.
pub fn import_path(path: impl AsRef<Path>) -> Result<Import, ImportError> {
    let path = path.as_ref();
    std::fs::read(path)
        .map_err(ImportError::Read)
        .and_then(|bytes| import(&bytes))
        .map_err(|error| ImportError::File { path: path.into(), error: Box::new(error) })
}

/// Decodes the protobuf.
pub(crate) fn decode(bytes: &[u8]) -> Result<ModelProto, ImportError> {
    tract_onnx::onnx()
        .proto_model_for_read(&mut &bytes[..])
        .map_err(|e| ImportError::Decode { reason: e.to_string() })
}

/// The model without what its output does not depend on, and the shape of its input, batch axis included.
pub(crate) fn pruned(mut model: ModelProto) -> Result<(ModelProto, Vec<usize>), ImportError> {
    let graph = Graph::new(&model)?;
    let mut names: HashSet<String> = graph.constants.keys().map(|&name| name.into()).collect();
    names.insert(graph.input.into());
    let (shape, nodes) = (graph.shape, graph.nodes.into_iter().cloned().collect());
    if let Some(graph) = &mut model.graph {
        graph.node = nodes;
        graph.input.retain(|value| names.contains(&value.name));
        graph.initializer.retain(|tensor| names.contains(&tensor.name));
    }
    Ok((model, shape))
}

/// Runs `f`, turning a panic inside tract into its message.
pub(crate) fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    // What `f` captures is dropped with it when it panics.
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
        format!("the library failed: {text}")
    })
}

fn import_model(model: &ModelProto) -> Result<Import, ImportError> {
    let graph = Graph::new(model)?;
    let mut tail = Tail::new(&graph);
    let mut builder = Builder::new(graph.input, graph.shape);
    let constants = graph.constants.into_iter();
    builder.values.extend(constants.map(|(name, t)| (name.to_owned(), Value::Constant(t))));
    let (mut refusals, mut notes) = (Vec::new(), Vec::new());
    for (index, proto) in graph.nodes.into_iter().enumerate() {
        let first_output = || proto.output.first().cloned().unwrap_or_default();
        let name = if proto.name.is_empty() { first_output() } else { proto.name.clone() };
        let mut context = Context { builder: &mut builder, proto, name, opset: graph.opset };
        let values = match lower(&mut context, index, &mut tail) {
            Ok(values) => values,
            Err(fault) => {
                refusals.push(refusal(proto, context.name, fault));
                vec![Value::Refused; proto.output.len()]
            }
        };
        builder.values.extend(proto.output.iter().cloned().zip(values));
    }
    if !refusals.is_empty() {
        return Err(ImportError::Nodes(refusals));
    }
    if builder.quantized_pairs > 0 {
        notes.push(Note::RoundingDropped { pairs: builder.quantized_pairs });
    }
    let (output, postprocessing) =
        match (builder.values.get(graph.output), tail.into_postprocessing()) {
            (Some(Value::Left(_)), Some(left)) => left,
            (Some(Value::Encrypted(output) | Value::Quantized(output, _)), _) => {
                (output.node, Postprocessing::default())
            }
            _ => return Err(ImportError::ConstantOutput { output: graph.output.into() }),
        };
    let mut network = builder.network;
    network.output = output;
    debug_assert_eq!(network.verify(), Ok(()));
    Ok(Import { network, postprocessing, notes })
}

fn refusal(proto: &NodeProto, node: String, fault: Fault) -> Refusal {
    let op_type = match graph::is_default_domain(&proto.domain) {
        true => proto.op_type.clone(),
        false => format!("{}.{}", proto.domain, proto.op_type),
    };
    Refusal { node, op_type, fault }
}

/// The values of the outputs of the node at a position of the graph, as far as they are known.
fn lower(context: &mut Context, index: usize, tail: &mut Tail) -> Result<Vec<Value>, Fault> {
    let proto = context.proto;
    if !graph::is_default_domain(&proto.domain) {
        return Err(Fault::Domain { domain: proto.domain.clone() });
    }
    if let Some(values) = quantization::lower(context)? {
        return Ok(values);
    }
    if let Some(values) = fold::fold(context)? {
        return Ok(values);
    }
    let operator = match tail.contains(index) {
        true => None,
        false => Some(operators::find(&proto.op_type)?),
    };
    let values = &context.builder.values;
    let is_unknown = |v| matches!(values.get(v), Some(Value::Refused | Value::Unknown));
    if proto.input.iter().any(is_unknown) {
        return Ok(vec![Value::Refused; proto.output.len()]);
    }
    match operator {
        Some(operator) => Ok(operator(context)?.into_iter().map(Value::Encrypted).collect()),
        None => tail.lower(index, context),
    }
}
