//! The checked view of an ONNX graph: one input, one output, constants decoded, and the nodes that
//! the output needs in an order of evaluation.
//!
//! Knows nothing of operators, except that a non-float input must be cast at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Extent;
use tract_onnx::pb::type_proto::Value as Type;
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, ValueInfoProto,
};
use tract_onnx::prelude::Tensor;

use super::context::{MAX_RANK, MAX_TENSOR};
use super::error::{ImportError, InputFault, StructureFault};
use super::tensor;

/// An ONNX graph whose structure has been checked.
pub(super) struct Graph<'a> {
    /// Version of the default operator set.
    pub opset: i64,
    /// Name of the encrypted input.
    pub input: &'a str,
    /// Extents of the input, the batch axis first; 1 if it is open.
    pub shape: Vec<usize>,
    /// Name of the output.
    pub output: &'a str,
    /// Decoded initializers that the output depends on.
    pub constants: HashMap<&'a str, Arc<Tensor>>,
    /// The nodes that the output depends on, operands before users.
    pub nodes: Vec<&'a NodeProto>,
}

impl<'a> Graph<'a> {
    /// Checks the structure of a model.
    pub fn new(model: &'a ModelProto) -> Result<Self, ImportError> {
        let opset = opset(model)?;
        let graph = model.graph.as_ref().ok_or(ImportError::NoGraph)?;
        let initializers = initializers(graph)?;
        let is_input = |v: &&ValueInfoProto| !initializers.contains_key(v.name.as_str());
        let declared: Vec<_> = graph.input.iter().filter(is_input).collect();
        if declared.is_empty() {
            return Err(ImportError::Inputs { found: vec![] });
        }
        let [output] = &graph.output[..] else {
            let found = graph.output.iter().map(|v| v.name.clone()).collect();
            return Err(ImportError::Outputs { found });
        };
        let mut given: HashSet<&str> = declared.iter().map(|v| v.name.as_str()).collect();
        given.extend(initializers.keys());
        let nodes = evaluation_order(graph, &given, &output.name)?;
        let mut used: HashSet<&str> = nodes.iter().flat_map(|n| &n.input).map(|v| &**v).collect();
        used.insert(&output.name);
        let input = single_input(declared, &used)?;
        let constants = constants(initializers, &used)?;
        let shape = input_shape(input, &nodes)
            .map_err(|fault| ImportError::Input { name: input.name.clone(), fault })?;
        Ok(Self { opset, input: &input.name, shape, output: &output.name, constants, nodes })
    }
}

/// The one input that the output depends on; the only one declared if it depends on none.
fn single_input<'a>(
    declared: Vec<&'a ValueInfoProto>,
    used: &HashSet<&str>,
) -> Result<&'a ValueInfoProto, ImportError> {
    let needed: Vec<_> = declared.iter().copied().filter(|v| used.contains(&*v.name)).collect();
    let inputs = if needed.is_empty() { declared } else { needed };
    match inputs[..] {
        [input] => Ok(input),
        _ => Err(ImportError::Inputs { found: inputs.iter().map(|v| v.name.clone()).collect() }),
    }
}

/// Returns whether a domain is ONNX's own.
pub(super) fn is_default_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

fn opset(model: &ModelProto) -> Result<i64, ImportError> {
    let default = model.opset_import.iter().find(|o| is_default_domain(&o.domain));
    let found = default.map(|o| o.version);
    found.filter(|v| (7..=25).contains(v)).ok_or(ImportError::Opset { found })
}

/// A constant as the file stores it.
enum Stored<'a> {
    Dense(&'a TensorProto),
    Sparse(&'a SparseTensorProto),
}

/// The initializers by name, not yet decoded.
fn initializers(graph: &GraphProto) -> Result<HashMap<&str, Stored<'_>>, ImportError> {
    let dense = graph.initializer.iter().map(|t| (t.name.as_str(), Stored::Dense(t)));
    let sparse = graph
        .sparse_initializer
        .iter()
        .map(|t| (t.values.as_ref().map_or("", |values| values.name.as_str()), Stored::Sparse(t)));
    let mut initializers = HashMap::new();
    for (name, stored) in dense.chain(sparse) {
        if initializers.insert(name, stored).is_some() {
            return Err(structure(name, StructureFault::Redefined));
        }
    }
    Ok(initializers)
}

/// Decodes the initializers that are used, in order of their names.
fn constants<'a>(
    initializers: HashMap<&'a str, Stored<'_>>,
    used: &HashSet<&str>,
) -> Result<HashMap<&'a str, Arc<Tensor>>, ImportError> {
    let mut needed: Vec<_> =
        initializers.into_iter().filter(|(name, _)| used.contains(name)).collect();
    needed.sort_unstable_by_key(|&(name, _)| name);
    // Sparse tensors are larger in memory than in the file, however many there are.
    let mut left = tensor::MAX_ELEMENTS;
    let decode = |(name, stored)| {
        let tensor = match stored {
            Stored::Dense(proto) => tensor::decode(proto),
            Stored::Sparse(proto) => tensor::decode_sparse(proto, &mut left),
        };
        let refuse = |fault| ImportError::Initializer { name: String::from(name), fault };
        Ok((name, tensor.map_err(refuse)?))
    };
    needed.into_iter().map(decode).collect()
}

fn structure(value: &str, fault: StructureFault) -> ImportError {
    ImportError::Structure { value: value.into(), fault }
}

/// Orders the ancestors of `output` topologically; among nodes that are ready the order of the file
/// is kept. `given` are inputs and initializers.
fn evaluation_order<'a>(
    graph: &'a GraphProto,
    given: &HashSet<&str>,
    output: &str,
) -> Result<Vec<&'a NodeProto>, ImportError> {
    let given = |value: &str| value.is_empty() || given.contains(value);
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
        DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16 => true,
        DataType::Uint8
        | DataType::Int8
        | DataType::Uint16
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64 => {
            users.all(|n| matches!(&*n.op_type, "Cast" | "CastLike" | "DequantizeLinear" | "Shape"))
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
    let batch = match *batch {
        // Exporters write an open extent in several ways.
        Some(Extent::DimValue(batch)) if batch > 0 => batch,
        _ => 1,
    };
    let mut extents = vec![batch];
    for extent in rest {
        match extent {
            Some(Extent::DimValue(v)) => extents.push(*v),
            _ => return Err(InputFault::UnknownShape { shape: shape() }),
        }
    }
    match tensor::elements(&extents[1..], MAX_TENSOR) {
        Some(n) if n > 0 && batch < MAX_TENSOR as i64 && extents.len() <= MAX_RANK => {
            Ok(extents.iter().map(|&e| e as usize).collect())
        }
        _ => Err(InputFault::Extent { shape: shape(), limit: MAX_TENSOR, axes: MAX_RANK }),
    }
}
