//! The end of an ONNX graph that is left to the client: a Softmax, ArgMax or the like, which cannot run on encrypted
//! data but is exact and free behind decryption, and what follows it.
//!
//! Nodes are part of it if they lead to the output one behind the other, each computed from the one before and from
//! constants. It begins with the first node that needs decrypted data; what stands before is encrypted. Final
//! activations, which could do either, are for [`crate::rewrite::strip_final`].

use std::collections::{HashMap, HashSet};

use petgraph::graph::NodeIndex;
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Op};
use pic_ir::postprocessing::{Postprocessing, Step};

use super::context::{Builder, Context, Encrypted, Value, unexpected};
use super::error::Fault;
use super::graph::{Graph, is_default_domain};
use super::operators;
use super::operators::reductions::softmax_axes;
use tract_onnx::pb::tensor_proto::DataType;

/// Operators that need decrypted data.
const CLIENT_ONLY: [&str; 5] = ["Softmax", "LogSoftmax", "ArgMax", "ArgMin", "TopK"];

/// Operators that the client can compute behind one of those: movements of data and functions of single elements.
const FOLLOWERS: [&str; 24] = [
    "Identity",
    "Dropout",
    "Cast",
    "CastLike",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Slice",
    "Gather",
    "Relu",
    "LeakyRelu",
    "Sigmoid",
    "Tanh",
    "HardSwish",
    "HardSigmoid",
    "Elu",
    "Softplus",
    "Erf",
    "Clip",
    "Abs",
    "Exp",
    "Log",
];

/// Advice where the client cannot compute a node.
const END_BEFORE: &str =
    "export the model without this node, and apply it to the decrypted outputs";

/// The nodes that are left to the client, and the steps that those lowered so far have become.
pub(super) struct Tail {
    /// Position of each node in [`Graph::nodes`], with the position of the output that is used.
    nodes: HashMap<usize, usize>,
    /// Last node of the encrypted network; none before the first node of the tail is lowered.
    output: Option<NodeIndex>,
    postprocessing: Postprocessing,
    /// True if all elements are whole numbers.
    integers: bool,
}

impl Tail {
    /// Finds the tail of a graph, which may be empty.
    pub fn new(graph: &Graph) -> Self {
        let encrypted = depending_on_data(graph);
        let mut producers = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            for (position, value) in node.output.iter().enumerate() {
                producers.insert(value.as_str(), (index, position));
            }
        }
        let (mut nodes, mut passed, mut value) = (HashMap::new(), vec![], graph.output);
        while let Some(&(index, position)) = producers.get(value) {
            let node = graph.nodes[index];
            let is_client_only = CLIENT_ONLY.contains(&&*node.op_type);
            let can_follow = is_client_only || FOLLOWERS.contains(&&*node.op_type);
            let Some((operand, rest)) = node.input.split_first() else { break };
            let in_a_row = encrypted.contains(operand.as_str())
                && !rest.iter().any(|v| encrypted.contains(v.as_str()));
            if !is_default_domain(&node.domain) || !can_follow || !in_a_row {
                break;
            }
            passed.push((index, position));
            if is_client_only {
                nodes.extend(passed.drain(..));
            }
            value = operand;
        }
        Self { nodes, output: None, postprocessing: Postprocessing::default(), integers: false }
    }

    /// Returns whether the node at this position of [`Graph::nodes`] is left to the client.
    pub fn contains(&self, index: usize) -> bool {
        self.nodes.contains_key(&index)
    }

    /// The last node of the encrypted network and what the client does behind it; none if the tail is empty.
    pub fn into_postprocessing(self) -> Option<(NodeIndex, Postprocessing)> {
        self.output.map(|output| (output, self.postprocessing))
    }

    /// Appends the step of the node at this position of [`Graph::nodes`], and returns the values of its outputs.
    pub fn lower(&mut self, index: usize, context: &mut Context) -> Result<Vec<Value>, Fault> {
        let shape = match context.required(0)? {
            Value::Left(shape) => shape.clone(),
            _ => {
                let mut x = context.encrypted(0)?;
                if context.proto.op_type == "ArgMin" {
                    // Classes are decided by the largest output.
                    let minus = Matrix::Scalar { len: x.len(), value: -1.0 };
                    x = context.linear(vec![(x.node, minus)], None, x.shape)?;
                }
                self.output = Some(x.node);
                x.shape
            }
        };
        let step = match &*context.proto.op_type {
            "Softmax" | "LogSoftmax" => Some(normalisation(context, &shape)?),
            "ArgMax" => Some(arg_max(context, &shape)?),
            "ArgMin" if self.postprocessing.is_identity() => Some(arg_max(context, &shape)?),
            "ArgMin" => {
                let reason = "it stands behind another operator that is left to the client".into();
                return Err(Fault::Unsupported { reason, help: END_BEFORE });
            }
            "TopK" => Some(top_k(context, &shape, self.nodes[&index] == 1)?),
            "Cast" if self.integers && keeps_positions(context)? => None,
            _ => follower(context, &shape)?,
        };
        match step {
            Some(Step::ArgMax { .. } | Step::TopK { positions: true, .. }) => self.integers = true,
            Some(Step::Activation(_)) => self.integers = false,
            _ => {}
        }
        self.postprocessing.steps.extend(step);
        let output = self.output.expect("the first node of the tail reads an encrypted tensor");
        let of_network = &context.builder.network.graph[output].shape;
        let of_sample = self.postprocessing.verify(of_network).map_err(|error| {
            let reason = format!("the client cannot apply it: {error}");
            Fault::Unsupported { reason, help: END_BEFORE }
        })?;
        let result = Value::Left([&[1], &of_sample[..]].concat());
        Ok(vec![result; context.proto.output.len()])
    }
}

/// Names of the values that depend on what is encrypted, and not only on its shape.
fn depending_on_data<'a>(graph: &Graph<'a>) -> HashSet<&'a str> {
    let mut found = HashSet::from([graph.input]);
    for node in &graph.nodes {
        let only_shape = matches!(&*node.op_type, "Shape" | "Size");
        if !only_shape && node.input.iter().any(|value| found.contains(value.as_str())) {
            found.extend(node.output.iter().map(String::as_str).filter(|name| !name.is_empty()));
        }
    }
    found
}

/// Returns whether a cast leaves positions along an axis as they are.
fn keeps_positions(context: &Context) -> Result<bool, Fault> {
    let to = DataType::try_from(context.int("to", 0)? as i32);
    Ok(matches!(to, Ok(DataType::Int32 | DataType::Int64 | DataType::Float | DataType::Double)))
}

/// `Softmax` and `LogSoftmax`.
fn normalisation(context: &Context, shape: &[usize]) -> Result<Step, Fault> {
    let axes = softmax_axes(context, shape.len())?;
    // Steps do not count the batch axis.
    let axes = axes.start - 1..axes.end - 1;
    Ok(match &*context.proto.op_type {
        "Softmax" => Step::Softmax { axes },
        _ => Step::LogSoftmax { axes },
    })
}

fn arg_max(context: &Context, shape: &[usize]) -> Result<Step, Fault> {
    let how = "it compares samples of the batch";
    Ok(Step::ArgMax {
        axis: context.sample_axis(context.int("axis", 0)?, shape.len(), how)? - 1,
        keeps_axis: context.int("keepdims", 1)? != 0,
        takes_last: context.int("select_last_index", 0)? != 0,
    })
}

fn top_k(context: &Context, shape: &[usize], positions: bool) -> Result<Step, Fault> {
    let how = "it compares samples of the batch";
    let axis = context.sample_axis(context.int("axis", -1)?, shape.len(), how)?;
    if context.int("largest", 1)? == 0 {
        let reason = "it takes the smallest elements".into();
        let help = "negate its operand, and take the largest";
        return Err(Fault::Unsupported { reason, help });
    }
    let count = match context.opset < 10 {
        true => vec![context.int("k", 0)?],
        false => context.integers(1, "k")?,
    };
    match count[..] {
        [count] if (1..=shape[axis] as i64).contains(&count) => {
            Ok(Step::TopK { axis: axis - 1, count: count as usize, positions })
        }
        _ => Err(unexpected(&format!("at least {count:?} elements along axis {axis}"), shape)),
    }
}

/// The step of an operator that could run on encrypted data, too: it is lowered into a network of its own, of which it
/// must be the only node. None if it changes nothing.
fn follower(context: &mut Context, shape: &[usize]) -> Result<Option<Step>, Fault> {
    let proto = context.proto;
    let (operand, rest) = proto.input.split_first().ok_or(Fault::Missing { position: 0 })?;
    let outer = &mut *context.builder;
    let of_batch = [&[outer.batch], &shape[1..]].concat();
    let mut builder = Builder::new(operand, of_batch);
    builder.budget = outer.budget;
    for name in rest {
        if let Some(constant @ Value::Constant(_)) = outer.values.get(name) {
            builder.values.insert(name.clone(), constant.clone());
        }
    }
    let name = context.name.clone();
    let mut alone = Context { builder: &mut builder, proto, name, opset: context.opset };
    let result = operators::find(&proto.op_type)?(&mut alone)?.swap_remove(0);
    context.builder.budget = builder.budget;
    step(&builder.network, &result)
}

fn step(network: &Network, result: &Encrypted) -> Result<Option<Step>, Fault> {
    if result.node == network.input() {
        return Ok(None);
    }
    let shape = result.shape[1..].to_vec();
    let found = match &network.graph[result.node].op {
        Op::Activation(function) => Some(Step::Activation(*function)),
        Op::Linear { matrices, bias: None } => match &matrices[..] {
            [Matrix::Scalar { value: 1.0, .. }] => Some(Step::Reshape { shape }),
            [Matrix::Gather { sources, .. }] if !sources.contains(&Matrix::ZERO) => {
                Some(Step::Gather { sources: sources.clone(), shape })
            }
            _ => None,
        },
        _ => None,
    };
    let reason = "it stands behind an operator that is left to the client".into();
    match (found, network.operands(result.node) == [network.input()]) {
        (Some(step), true) => Ok(Some(step)),
        _ => Err(Fault::Unsupported { reason, help: END_BEFORE }),
    }
}
