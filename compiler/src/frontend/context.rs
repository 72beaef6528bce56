//! Context in which one ONNX node is lowered: its operands, its attributes, and the network under construction.
//!
//! Shapes here carry the batch axis, first and of extent 1, because ONNX counts axes with it; the
//! network that is built does not.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use pic_ir::function::Function;
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Node, Op};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};
use tract_onnx::prelude::Tensor;

use super::error::Fault;
use super::tensor;

/// Largest number of elements of an encrypted tensor: 512 ciphertexts of 2^15 slots.
pub(super) const MAX_TENSOR: usize = 1 << 24;
/// Largest number of axes of an encrypted tensor.
pub(super) const MAX_RANK: usize = 16;
/// Largest number of elements of all encrypted tensors and computed constants together.
const BUDGET: usize = 1 << 28;

/// A tensor that depends on the encrypted input.
#[derive(Clone, Debug)]
pub(super) struct Encrypted {
    /// The node of the network that computes it.
    pub node: NodeIndex,
    /// Extents, batch axis included.
    pub shape: Vec<usize>,
}

impl Encrypted {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Knowledge about a value of the ONNX graph during the import.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Known at compile time.
    Constant(Arc<Tensor>),
    /// Depends on the input.
    Encrypted(Encrypted),
    /// Integers that stand for a tensor that depends on the input, until they are read back.
    Quantized(Encrypted, Arc<Quantization>),
    /// Depends on the input, and is computed by the client after decryption. Its extents, batch axis included.
    Left(Vec<usize>),
    /// Result of a node that was refused. Users of the value are not judged by shapes.
    Refused,
    /// Constant that cannot be computed because it is the shape of a refused value.
    Unknown,
}

impl Value {
    /// Extents, batch axis included; empty if they are not known.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Constant(tensor) => tensor.shape(),
            Self::Encrypted(tensor) | Self::Quantized(tensor, _) => &tensor.shape,
            Self::Left(shape) => shape,
            Self::Refused | Self::Unknown => &[],
        }
    }
}

/// Scale and zero point of one tensor: a number is `scale · (integer − zero_point)`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quantization {
    /// Distance of neighbouring numbers.
    pub scale: f32,
    /// The integer that stands for zero.
    pub zero_point: i64,
}

/// The network under construction.
pub(super) struct Builder {
    /// The network so far.
    pub network: Network,
    /// Extent of the batch axis in the file: what its constants say where they name that axis. It is 1 if the
    /// extent is open.
    pub batch: usize,
    /// Pairs of `QuantizeLinear` and `DequantizeLinear` around encrypted tensors so far.
    pub quantized_pairs: usize,
    /// Values of the ONNX graph by name.
    pub values: HashMap<String, Value>,
    /// Number of elements that may still be made.
    pub budget: usize,
    names: HashSet<String>,
}

impl Builder {
    /// A network with only its input, `shape` including the batch axis as the file declares it.
    pub fn new(input: &str, mut shape: Vec<usize>) -> Self {
        let batch = std::mem::replace(&mut shape[0], 1);
        let network = Network::with_input(input, shape[1..].to_vec());
        let value = Value::Encrypted(Encrypted { node: network.input(), shape });
        Self {
            network,
            batch,
            quantized_pairs: 0,
            values: HashMap::from([(input.into(), value)]),
            names: HashSet::from([input.into()]),
            budget: BUDGET,
        }
    }

    /// Subtracts the elements of an encrypted tensor, or of a constant needed to compute one, from the budget of
    /// the whole network. Called before they are allocated.
    pub fn charge(&mut self, elements: usize) -> Result<(), Fault> {
        match elements <= MAX_TENSOR {
            true => self.charge_constants(elements),
            false => Err(Fault::TooLarge { elements, limit: MAX_TENSOR }),
        }
    }

    /// Subtracts the elements of a constant from the budget; unlike an encrypted tensor, a single constant may take
    /// all of it.
    pub fn charge_constants(&mut self, elements: usize) -> Result<(), Fault> {
        let limit = self.budget;
        self.budget = limit.checked_sub(elements).ok_or(Fault::TooLarge { elements, limit })?;
        Ok(())
    }

    fn unique(&mut self, name: &str) -> String {
        let numbered = (2..).map(|k| format!("{name}#{k}"));
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        let free = candidates.find(|c| !self.names.contains(c)).expect("numbers do not run out");
        self.names.insert(free.clone());
        free
    }
}

/// One ONNX node being lowered.
pub(super) struct Context<'a> {
    /// The network under construction.
    pub builder: &'a mut Builder,
    /// The node.
    pub proto: &'a NodeProto,
    /// Name of the node; that of its first output if it has none.
    pub name: String,
    /// Version of the operator set.
    pub opset: i64,
}

/// Operands.
impl Context<'_> {
    /// The operand at a position; none if it is not given.
    pub fn operand(&self, position: usize) -> Option<&Value> {
        let name = self.proto.input.get(position).filter(|name| !name.is_empty())?;
        self.builder.values.get(name)
    }

    /// The operand at a position, which the operator requires.
    ///
    /// # Errors
    /// [`Fault::Missing`].
    pub fn required(&self, position: usize) -> Result<&Value, Fault> {
        self.operand(position).ok_or(Fault::Missing { position })
    }

    /// The operand at a position, which has to depend on the encrypted input.
    ///
    /// # Errors
    /// [`Fault::Missing`], [`Fault::NotEncrypted`].
    pub fn encrypted(&self, position: usize) -> Result<Encrypted, Fault> {
        match self.required(position)? {
            Value::Encrypted(tensor) => Ok(tensor.clone()),
            Value::Quantized(..) => Err(Fault::Quantized { position }),
            _ => Err(Fault::NotEncrypted { position }),
        }
    }

    /// All operands, each of which must be given.
    pub fn all(&self) -> Result<Vec<Value>, Fault> {
        (0..self.proto.input.len())
            .map(|position| match self.required(position)? {
                Value::Quantized(..) => Err(Fault::Quantized { position }),
                value => Ok(value.clone()),
            })
            .collect()
    }

    /// The constant operand at a position; none if it is not given. Errors call it `what`.
    ///
    /// # Errors
    /// [`Fault::NotConstant`].
    pub fn optional(
        &self,
        position: usize,
        what: &'static str,
    ) -> Result<Option<Arc<Tensor>>, Fault> {
        match self.operand(position) {
            None => Ok(None),
            Some(Value::Constant(tensor)) => Ok(Some(tensor.clone())),
            Some(Value::Quantized(..)) => Err(Fault::Quantized { position }),
            Some(_) => Err(Fault::NotConstant { position, what }),
        }
    }

    /// The constant operand at a position, which the operator requires. Errors call it `what`.
    ///
    /// # Errors
    /// [`Fault::Missing`], [`Fault::NotConstant`].
    pub fn constant(&self, position: usize, what: &'static str) -> Result<Arc<Tensor>, Fault> {
        self.optional(position, what)?.ok_or(Fault::Missing { position })
    }

    /// The elements of a required constant operand as integers.
    pub fn integers(&self, position: usize, what: &'static str) -> Result<Vec<i64>, Fault> {
        tensor::integers(&*self.constant(position, what)?)
    }

    /// A list of integers that older operator sets give as the attribute `name` and newer ones as an operand; none if
    /// neither is given.
    ///
    /// # Errors
    /// [`Fault::Attribute`], [`Fault::NotConstant`], [`Fault::Fold`] if the operand cannot be read as integers.
    pub fn list(&self, name: &'static str, position: usize) -> Result<Option<Vec<i64>>, Fault> {
        match self.ints(name)? {
            Some(list) => Ok(Some(list)),
            None => self.optional(position, name)?.map(|t| tensor::integers(&t)).transpose(),
        }
    }
}

/// Attributes.
impl Context<'_> {
    fn attribute(
        &self,
        name: &'static str,
        kind: AttributeType,
    ) -> Result<Option<&AttributeProto>, Fault> {
        let Some(found) = self.proto.attribute.iter().find(|a| a.name == name) else {
            return Ok(None);
        };
        // Files of early exporters leave the type undefined.
        if found.r#type != kind as i32 && found.r#type != AttributeType::Undefined as i32 {
            let reason = format!("is not of type {}", kind.as_str_name());
            return Err(Fault::Attribute { name, reason });
        }
        Ok(Some(found))
    }

    /// The integer attribute `name`, or `default` if it is absent.
    ///
    /// # Errors
    /// [`Fault::Attribute`] if it is of another type.
    pub fn int(&self, name: &'static str, default: i64) -> Result<i64, Fault> {
        Ok(self.attribute(name, AttributeType::Int)?.map_or(default, |a| a.i))
    }

    /// The attribute `name`, a list of integers; none if it is absent.
    ///
    /// # Errors
    /// [`Fault::Attribute`] if it is of another type.
    pub fn ints(&self, name: &'static str) -> Result<Option<Vec<i64>>, Fault> {
        Ok(self.attribute(name, AttributeType::Ints)?.map(|a| a.ints.clone()))
    }

    /// A list of real numbers.
    pub fn floats(&self, name: &'static str) -> Result<Option<Vec<f32>>, Fault> {
        Ok(self.attribute(name, AttributeType::Floats)?.map(|a| a.floats.clone()))
    }

    /// The real attribute `name`, or `default` if it is absent.
    ///
    /// # Errors
    /// [`Fault::Attribute`] if it is of another type, [`Fault::NotFinite`] if it is infinite or not a number.
    pub fn float(&self, name: &'static str, default: f32) -> Result<f32, Fault> {
        let value = self.attribute(name, AttributeType::Float)?.map_or(default, |a| a.f);
        if value.is_finite() { Ok(value) } else { Err(Fault::NotFinite) }
    }

    /// The text attribute `name`, empty if it is absent.
    ///
    /// # Errors
    /// [`Fault::Attribute`] if it is of another type.
    pub fn string(&self, name: &'static str) -> Result<String, Fault> {
        let found = self.attribute(name, AttributeType::String)?;
        Ok(found.map_or(String::new(), |a| String::from_utf8_lossy(&a.s).into_owned()))
    }

    /// A list of `count` numbers from `least` on, all of them `least` if it is absent.
    pub fn sizes(&self, name: &'static str, least: i64, count: usize) -> Result<Vec<usize>, Fault> {
        let values = self.ints(name)?.unwrap_or(vec![least; count]);
        let in_range = |v: &i64| (least..MAX_TENSOR as i64).contains(v);
        match values.len() == count && values.iter().all(in_range) {
            true => Ok(values.into_iter().map(|v| v as usize).collect()),
            false => Err(Fault::Attribute {
                name,
                reason: format!("is {values:?}, not {count} sensible numbers from {least}"),
            }),
        }
    }

    /// Index below `rank` of an axis, which counts from the end if it is negative.
    ///
    /// # Errors
    /// [`Fault::Attribute`] if there is no such axis.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, Fault> {
        let index = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
        usize::try_from(index).ok().filter(|&i| i < rank).ok_or_else(|| Fault::Attribute {
            name: "axis",
            reason: format!("{axis} is outside a tensor of rank {rank}"),
        })
    }
}

/// The batch axis, which the network does not have.
impl Context<'_> {
    /// An axis as [`Self::axis`] counts it, which must not be the batch.
    pub fn sample_axis(&self, axis: i64, rank: usize, how: &'static str) -> Result<usize, Fault> {
        match self.axis(axis, rank)? {
            0 => Err(Fault::MixesSamples { how }),
            axis => Ok(axis),
        }
    }

    /// The extent of the batch axis of one sample, where a constant of the file names that of the whole batch.
    pub fn of_one_sample(&self, extent: i64) -> i64 {
        if extent == self.builder.batch as i64 { 1 } else { extent }
    }

    /// Refuses a batch of several samples, where the operator takes only the first of them.
    pub fn single_sample(&self, how: &'static str) -> Result<(), Fault> {
        if self.builder.batch == 1 { Ok(()) } else { Err(Fault::MixesSamples { how }) }
    }
}

/// Construction. Shapes include the batch axis.
impl Context<'_> {
    /// Appends a node that computes `Σ matrix·operand + bias`, and returns its tensor, of the given shape.
    ///
    /// # Errors
    /// [`Fault::NotFinite`] if a constant is infinite or not a number, [`Fault::Shape`], [`Fault::MixesSamples`],
    /// [`Fault::TooLarge`].
    pub fn linear(
        &mut self,
        operands: Vec<(NodeIndex, Matrix)>,
        bias: Option<Vec<f32>>,
        shape: Vec<usize>,
    ) -> Result<Encrypted, Fault> {
        let (nodes, matrices): (Vec<_>, Vec<_>) = operands.into_iter().unzip();
        let finite = |values: &Vec<f32>| values.iter().all(|v| v.is_finite());
        if !matrices.iter().all(Matrix::is_finite) || !bias.as_ref().is_none_or(finite) {
            return Err(Fault::NotFinite);
        }
        for matrix in &matrices {
            let refused = |e| Fault::Shape { reason: format!("its geometry is not usable: {e}") };
            matrix.verify().map_err(refused)?;
        }
        let bias = bias.filter(|b| b.iter().any(|&v| v != 0.0));
        self.push(Op::Linear { matrices, bias }, &nodes, shape)
    }

    /// Returns `Σ factor·tensor + offset` of tensors of one shape: the tensor itself if nothing changes it, otherwise a
    /// new node.
    ///
    /// # Errors
    /// Those of [`Self::linear`].
    pub fn combination(
        &mut self,
        terms: &[(&Encrypted, f32)],
        offset: f32,
    ) -> Result<Encrypted, Fault> {
        if let ([(x, 1.0)], 0.0) = (terms, offset) {
            return Ok((*x).clone());
        }
        let (len, shape) = (terms[0].0.len(), terms[0].0.shape.clone());
        let term = |&(x, value): &(&Encrypted, f32)| (x.node, Matrix::Scalar { len, value });
        self.linear(terms.iter().map(term).collect(), Some(vec![offset; len]), shape)
    }

    /// Appends a node that applies `function` to every element of `x`, and returns its tensor.
    ///
    /// # Errors
    /// [`Fault::TooLarge`] if the network has no room for so many elements.
    pub fn activation(&mut self, x: &Encrypted, function: Function) -> Result<Encrypted, Fault> {
        self.push(Op::Activation(function), &[x.node], x.shape.clone())
    }

    /// Appends a node that multiplies two tensors of one shape element by element, and returns its tensor.
    ///
    /// # Errors
    /// [`Fault::TooLarge`] if the network has no room for so many elements.
    pub fn product(&mut self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted, Fault> {
        self.push(Op::Product, &[a.node, b.node], a.shape.clone())
    }

    fn push(
        &mut self,
        op: Op,
        operands: &[NodeIndex],
        shape: Vec<usize>,
    ) -> Result<Encrypted, Fault> {
        if shape.first() != Some(&1) {
            let how = "the first axis of its result is not the batch of one sample";
            return Err(Fault::MixesSamples { how });
        }
        let elements = volume(&shape);
        if elements == 0 || shape.len() > MAX_RANK {
            let reason = format!("its result is empty or has more than {MAX_RANK} axes: {shape:?}");
            return Err(Fault::Shape { reason });
        }
        self.builder.charge(elements)?;
        let node = Node {
            name: self.builder.unique(&self.name),
            provenance: vec![format!("{} ({})", self.name, self.proto.op_type)],
            op,
            shape: shape[1..].to_vec(),
        };
        let node = self.builder.network.push(node, operands);
        Ok(Encrypted { node, shape })
    }
}

/// Number of elements of a shape, saturating.
pub(super) fn volume(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n, &e| n.saturating_mul(e))
}

/// The fault of a tensor that is not as expected.
pub(super) fn unexpected(expected: &str, shape: &[usize]) -> Fault {
    Fault::Shape { reason: format!("expected {expected}, found a tensor of shape {shape:?}") }
}
