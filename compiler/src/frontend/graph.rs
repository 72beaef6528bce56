//! The checked view of an ONNX graph: one input, one output, constants decoded, and the nodes that
//! the output needs in an order of evaluation.
//!
//! Knows nothing of operators, except that a non-float input must be cast at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Extent;
use tract_onnx::pb::type_proto::Value as Type;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use tract_onnx::prelude::Tensor;

use super::context::{MAX_RANK, MAX_TENSOR};
use super::error::{ImportError, InputFault, StructureFault, TensorFault};
use super::tensor;

/// An ONNX graph whose structure has been checked.
pub(super) struct Graph<'a> {
    /// Version of the default operator set.
    pub opset: i64,
    /// Name of the encrypted input.
    pub input: &'a str,
    /// Extents of the input, the batch axis first and set to 1.
    pub shape: Vec<usize>,
    /// Name of the output.
    pub output: &'a str,
    /// Decoded initializers.
    pub constants: HashMap<&'a str, Arc<Tensor>>,
    /// The nodes that the output depends on, operands before users.
    pub nodes: Vec<&'a NodeProto>,
}

impl<'a> Graph<'a> {
    /// Checks the structure of a model.
    pub fn new(model: &'a ModelProto) -> Result<Self, ImportError> {
        let opset = opset(model)?;
        let graph = model.graph.as_ref().ok_or(ImportError::NoGraph)?;
        let constants = constants(graph)?;
        let is_input = |v: &&ValueInfoProto| !constants.contains_key(v.name.as_str());
        let inputs: Vec<_> = graph.input.iter().filter(is_input).collect();
        let [input] = inputs[..] else {
            let found = inputs.iter().map(|v| v.name.clone()).collect();
            return Err(ImportError::Inputs { found });
        };
        let [output] = &graph.output[..] else {
            let found = graph.output.iter().map(|v| v.name.clone()).collect();
            return Err(ImportError::Outputs { found });
        };
        let nodes = evaluation_order(graph, &constants, &input.name, &output.name)?;
        let shape = input_shape(input, &nodes)
            .map_err(|fault| ImportError::Input { name: input.name.clone(), fault })?;
        Ok(Self { opset, input: &input.name, shape, output: &output.name, constants, nodes })
    }
}

/// Returns whether a domain is ONNX's own.
pub(super) fn is_default_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

fn opset(model: &ModelProto) -> Result<i64, ImportError> {
    let default = model.opset_import.iter().find(|o| is_default_domain(&o.domain));
    let found = default.map(|o| o.version);
    found.filter(|v| (7..=23).contains(v)).ok_or(ImportError::Opset { found })
}

fn constants(graph: &GraphProto) -> Result<HashMap<&str, Arc<Tensor>>, ImportError> {
    let refuse = |name: &str, fault| ImportError::Initializer { name: name.into(), fault };
    if let Some(sparse) = graph.sparse_initializer.first() {
        let name = sparse.values.as_ref().map_or("", |values| &values.name);
        return Err(refuse(name, TensorFault::Sparse));
    }
    let mut constants = HashMap::new();
    for proto in &graph.initializer {
        let tensor = tensor::decode(proto).map_err(|fault| refuse(&proto.name, fault))?;
        if constants.insert(proto.name.as_str(), tensor).is_some() {
            return Err(structure(&proto.name, StructureFault::Redefined));
        }
    }
    Ok(constants)
}

fn structure(value: &str, fault: StructureFault) -> ImportError {
    ImportError::Structure { value: value.into(), fault }
}

/// Orders the ancestors of `output` topologically; among nodes that are ready the order of the file
/// is kept.
fn evaluation_order<'a>(
    graph: &'a GraphProto,
    constants: &HashMap<&str, Arc<Tensor>>,
    input: &str,
    output: &str,
) -> Result<Vec<&'a NodeProto>, ImportError> {
    let given = |value: &str| value.is_empty() || value == input || constants.contains_key(value);
    let mut producer = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for value in node.output.iter().filter(|v| !v.is_empty()) {
            if given(value) || producer.insert(value.as_str(), index).is_some() {
                return Err(structure(value, StructureFault::Redefined));
            }
        }
    }
    // Backwards from the output: how many operands each needed node waits for, and its users.
    let mut waiting: HashMap<usize, usize> = HashMap::new();
    let mut users: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut stack = Vec::new();
    let find = |value: &str| {
        producer.get(value).copied().ok_or_else(|| structure(value, StructureFault::Undefined))
    };
    if !given(output) {
        stack.push(find(output)?);
    }
    while let Some(index) = stack.pop() {
        if waiting.contains_key(&index) {
            continue;
        }
        let operands: Vec<&String> = graph.node[index].input.iter().filter(|v| !given(v)).collect();
        waiting.insert(index, operands.len());
        for value in operands {
            let operand = find(value)?;
            users.entry(operand).or_default().push(index);
            stack.push(operand);
        }
    }
    let mut ready: BTreeSet<usize> =
        waiting.iter().filter(|&(_, &count)| count == 0).map(|(&index, _)| index).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(index) = ready.pop_first() {
        order.push(&graph.node[index]);
        for user in users.remove(&index).unwrap_or_default() {
            let count = waiting.get_mut(&user).expect("every user is a needed node");
            *count -= 1;
            if *count == 0 {
                ready.insert(user);
            }
        }
    }
    match order.len() == waiting.len() {
        true => Ok(order),
        false => Err(structure(output, StructureFault::Cycle)),
    }
}

fn input_shape(input: &ValueInfoProto, nodes: &[&NodeProto]) -> Result<Vec<usize>, InputFault> {
    let Some(Type::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(InputFault::Type { found: "not a tensor".into() });
    };
    let data_type = DataType::try_from(tensor.elem_type).unwrap_or(DataType::Undefined);
    let mut users = nodes.iter().filter(|n| n.input.contains(&input.name));
    let numbers = match data_type {
        DataType::Float => true,
        DataType::Uint8 | DataType::Int8 | DataType::Int32 | DataType::Int64 => {
            users.all(|n| n.op_type == "Cast")
        }
        _ => false,
    };
    if !numbers {
        return Err(InputFault::Type { found: data_type.as_str_name().into() });
    }
    let dims = tensor.shape.as_ref().map(|s| s.dim.iter().map(|d| d.value.clone()).collect());
    let dims: Vec<Option<Extent>> = dims.unwrap_or_default();
    let shape = || {
        let extent = |d: &Option<Extent>| match d {
            Some(Extent::DimValue(v)) => v.to_string(),
            Some(Extent::DimParam(name)) => name.clone(),
            None => "?".into(),
        };
        format!("[{}]", dims.iter().map(extent).collect::<Vec<_>>().join(", "))
    };
    let Some((batch, rest)) = dims.split_first() else {
        return Err(InputFault::UnknownShape { shape: shape() });
    };
    if let Some(Extent::DimValue(batch)) = *batch
        && batch > 1
    {
        return Err(InputFault::Batch { batch });
    }
    let mut extents = vec![1];
    for extent in rest {
        match extent {
            Some(Extent::DimValue(v)) => extents.push(*v),
            _ => return Err(InputFault::UnknownShape { shape: shape() }),
        }
    }
    match tensor::elements(&extents, MAX_TENSOR) {
        Some(n) if n > 0 && extents.len() <= MAX_RANK => {
            Ok(extents.iter().map(|&e| e as usize).collect())
        }
        _ => Err(InputFault::Extent { shape: shape(), limit: MAX_TENSOR, axes: MAX_RANK }),
    }
}
