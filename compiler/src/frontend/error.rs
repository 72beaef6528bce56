//! Errors of the import: the fault, its place in the file, and advice.
//!
//! Errors of the whole file are [`ImportError`]; everything that is wrong with single nodes is
//! collected, so that a user sees all of it at once ([`ImportError::Nodes`]).

use std::fmt;
use std::path::PathBuf;

use pic_ir::escape::Escaped;

/// Reason why an ONNX file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A problem with the file at `path`.
    #[error("{}: {error}", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// The error within the file.
        error: Box<ImportError>,
    },
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// The bytes are not an ONNX protobuf.
    #[error(
        "not an ONNX model ({}); expected the protobuf that exporters write as `.onnx`",
        Escaped(reason)
    )]
    Decode {
        /// Message of the decoder.
        reason: String,
    },
    /// The model has no graph.
    #[error("the ONNX model holds no graph: the file is truncated, or not a model")]
    NoGraph,
    /// The version of the default operator set is missing or not supported.
    #[error("operator set {} is not supported; export the model with an opset from 7 to 25 (17 is a good choice)",
        found.map_or("(none declared)".into(), |v| v.to_string()))]
    Opset {
        /// The version declared for the default domain.
        found: Option<i64>,
    },
    /// The graph does not have exactly one input that is not an initializer.
    #[error("the graph has {} inputs {found:?}, one is expected: fold the others into constants, or pack them into one tensor", found.len())]
    Inputs {
        /// Names of the inputs.
        found: Vec<String>,
    },
    /// The graph does not have exactly one output.
    #[error("the graph has {} outputs {found:?}, one is expected: export the model with only the output you need, or concatenate them", found.len())]
    Outputs {
        /// Names of the outputs.
        found: Vec<String>,
    },
    /// The input cannot be encrypted as it is declared.
    #[error("input `{}`: {fault}", Escaped(name))]
    Input {
        /// Name of the input.
        name: String,
        /// Fault of the declaration.
        fault: InputFault,
    },
    /// An initializer is malformed or of an unsupported kind.
    #[error("initializer `{}`: {fault}", Escaped(name))]
    Initializer {
        /// Name of the initializer.
        name: String,
        /// Fault of the tensor.
        fault: TensorFault,
    },
    /// The nodes do not form an acyclic graph in which each value is defined once.
    #[error(
        "value `{}` {fault}: the file is corrupted, check it with `onnx.checker`",
        Escaped(value)
    )]
    Structure {
        /// Name of the value.
        value: String,
        /// Fault of the definition.
        fault: StructureFault,
    },
    /// The output does not depend on the input.
    #[error(
        "the output `{}` does not depend on the input: there is nothing to run on encrypted data",
        Escaped(output)
    )]
    ConstantOutput {
        /// Name of the output.
        output: String,
    },
    /// Nodes that cannot be imported, all of them.
    #[error("{} node(s) cannot run on encrypted data:{}", .0.len(), bullets(.0))]
    Nodes(Vec<Refusal>),
    /// The plaintext reference cannot run the model.
    #[error("the plaintext reference (tract) cannot run the model: {}", Escaped(reason))]
    Reference {
        /// Message of tract.
        reason: String,
    },
}

fn bullets(refusals: &[Refusal]) -> String {
    refusals.iter().map(|r| format!("\n  - {r}")).collect()
}

/// Fault of the declared input.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InputFault {
    /// The rank or an extent other than the batch is not known.
    #[error(
        "its shape {} is not fully known: export with fixed extents (only the batch axis may be dynamic)",
        Escaped(shape)
    )]
    UnknownShape {
        /// The shape as declared.
        shape: String,
    },
    /// An extent is not positive, or there are too many elements.
    #[error(
        "its shape {} is empty, or has more than {limit} elements or {axes} axes",
        Escaped(shape)
    )]
    Extent {
        /// The shape as declared.
        shape: String,
        /// Largest number of elements that is accepted.
        limit: usize,
        /// Largest number of axes that is accepted.
        axes: usize,
    },
    /// An element type that cannot be encrypted.
    #[error(
        "its elements are {found}, which is not used as numbers right away: export with a float32 input, or cast the input to float32 in the first node"
    )]
    Type {
        /// The ONNX name of the type.
        found: String,
    },
}

/// Fault of a constant tensor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TensorFault {
    /// The data are stored outside the file.
    #[error(
        "its data are in an external file: save the model as one file (`onnx.save` with `save_as_external_data=False`)"
    )]
    External,
    /// The indices of a tensor stored in sparse form do not fit its extents.
    #[error("its sparse form does not fit its extents {dims:?}: the file is corrupted")]
    Sparse {
        /// The extents.
        dims: Vec<i64>,
    },
    /// The element type is not a plain number.
    #[error("elements of type {found} are not supported: store them as float32 or int64")]
    Type {
        /// The ONNX name or number of the type.
        found: String,
    },
    /// An extent is negative, or there are too many elements.
    #[error("extents {dims:?} are negative or hold more than {limit} elements")]
    Extent {
        /// The extents.
        dims: Vec<i64>,
        /// Largest number of elements that is accepted.
        limit: usize,
    },
    /// The data do not fill the extents.
    #[error("extents {dims:?} need {expected} {unit}, found {found}: the file is corrupted")]
    Length {
        /// The extents.
        dims: Vec<i64>,
        /// Amount that the extents need.
        expected: usize,
        /// Amount found.
        found: usize,
        /// Bytes or elements.
        unit: &'static str,
    },
    /// tract's reader refused the tensor.
    #[error("{}", Escaped(reason))]
    Unreadable {
        /// Message of the reader.
        reason: String,
    },
}

/// Fault in the definition of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StructureFault {
    /// The value is not an input, an initializer or the output of a node.
    #[error("is used but never defined")]
    Undefined,
    /// The value is defined more than once.
    #[error("is defined twice")]
    Redefined,
    /// The value depends on itself.
    #[error("depends on itself")]
    Cycle,
}

/// A node that cannot be imported, and the reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Name of the node; that of its first output if it has none.
    pub node: String,
    /// ONNX operator, with its domain if it is not the default one.
    pub op_type: String,
    /// Reason for the refusal.
    pub fault: Fault,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, op_type) = (Escaped(&self.node), Escaped(&self.op_type));
        let fault = self.fault.to_string();
        write!(f, "node `{node}` ({op_type}): {}; {}", Escaped(&fault), self.fault.help())
    }
}

/// Reason why a node cannot be imported.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The operator has no encrypted counterpart.
    #[error("this operator cannot run on encrypted data")]
    Operator {
        /// Advice for the user.
        help: &'static str,
    },
    /// The operator belongs to another domain than ONNX's own.
    #[error("operators of domain `{domain}` are not supported")]
    Domain {
        /// Name of the domain.
        domain: String,
    },
    /// An attribute is missing, malformed or has an unsupported value.
    #[error("attribute `{name}` {reason}")]
    Attribute {
        /// Name of the attribute.
        name: &'static str,
        /// Fault of the attribute.
        reason: String,
    },
    /// The operator is supported, but not in this form.
    #[error("{reason}, which is not supported")]
    Unsupported {
        /// Description of the form.
        reason: String,
        /// Advice for the user.
        help: &'static str,
    },
    /// A required operand is not given.
    #[error("operand {position} is missing")]
    Missing {
        /// Position of the operand.
        position: usize,
    },
    /// An operand that must be known at compile time depends on the encrypted input.
    #[error("operand {position} ({what}) depends on the encrypted input, it must be constant")]
    NotConstant {
        /// Position of the operand.
        position: usize,
        /// Role of the operand.
        what: &'static str,
    },
    /// An operand that must depend on the input is constant.
    #[error("operand {position} is constant, the encrypted tensor is expected there")]
    NotEncrypted {
        /// Position of the operand.
        position: usize,
    },
    /// An operand holds the integers that stand for an encrypted tensor.
    #[error("operand {position} holds quantised integers, which are known as real numbers only")]
    Quantized {
        /// Position of the operand.
        position: usize,
    },
    /// The operator would move data across the batch axis.
    #[error("it mixes the samples of a batch: {how}")]
    MixesSamples {
        /// Effect of the operator on the first axis.
        how: &'static str,
    },
    /// Shapes of operands do not fit the operator.
    #[error("{reason}")]
    Shape {
        /// Description of the shapes, and of those expected.
        reason: String,
    },
    /// The tensors or constants would be too large.
    #[error("it needs {elements} elements, more than the {limit} left")]
    TooLarge {
        /// Number of elements needed.
        elements: usize,
        /// Number of elements allowed.
        limit: usize,
    },
    /// A constant is infinite or not a number, or a division by zero.
    #[error("a constant is infinite, not a number, or divides by zero")]
    NotFinite,
    /// A constant tensor is malformed.
    #[error("constant: {0}")]
    Tensor(TensorFault),
    /// Arithmetic on constants failed.
    #[error("its value cannot be computed at compile time: {reason}")]
    Fold {
        /// Message of tract.
        reason: String,
    },
}

impl Fault {
    /// Advice for the user.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Operator { help } | Self::Unsupported { help, .. } => help,
            Self::Domain { .. } => {
                "export with standard ONNX operators only (no contrib or custom operators)"
            }
            Self::Attribute { .. } | Self::Missing { .. } | Self::Shape { .. } => {
                "check the file with `onnx.checker` and export it again"
            }
            Self::NotConstant { .. } | Self::NotEncrypted { .. } => {
                "simplify the model so that weights and shapes are constants"
            }
            Self::Quantized { .. } => {
                "export the float32 model, or one whose QuantizeLinear nodes feed DequantizeLinear nodes only (QDQ form)"
            }
            Self::MixesSamples { .. } => {
                "keep the batch as the first axis of every tensor (reshape with -1 or 1 there)"
            }
            Self::TooLarge { .. } => "use a smaller input or fewer channels",
            Self::NotFinite => "look for diverged weights in the trained model",
            Self::Tensor(_) => "store the constant in the model as a plain dense tensor",
            Self::Fold { .. } => "fold constants when exporting (for example with onnxsim)",
        }
    }
}
