//! Table of the operators that run on encrypted data, with advice about those that do not.

mod activation;
mod arithmetic;
mod contraction;
mod convolution;
mod movement;
mod reshape;

use super::context::{Context, Encrypted};
use super::error::Fault;

/// Lowers a node, of whose operands at least one depends on the input, to its outputs.
pub(super) type Operator = fn(&mut Context) -> Result<Vec<Encrypted>, Fault>;

/// The lowering of an ONNX operator.
pub(super) fn find(op_type: &str) -> Result<Operator, Fault> {
    Ok(match op_type {
        "Conv" => convolution::conv,
        "AveragePool" => convolution::average_pool,
        "GlobalAveragePool" => contraction::global_average_pool,
        "ReduceMean" | "ReduceSum" => contraction::reduce,
        "Gemm" => contraction::gemm,
        "MatMul" => contraction::matmul,
        "BatchNormalization" => arithmetic::batch_normalization,
        "Add" | "Sub" | "Sum" => arithmetic::add,
        "Mul" => arithmetic::mul,
        "Div" => arithmetic::div,
        "Neg" => arithmetic::neg,
        "Pow" => arithmetic::pow,
        "Max" | "Min" => arithmetic::extremum,
        "Relu" | "LeakyRelu" | "Sigmoid" | "Tanh" | "Gelu" | "HardSwish" | "HardSigmoid"
        | "Elu" | "Softplus" | "Erf" | "Clip" => activation::function,
        "PRelu" => activation::prelu,
        "Identity" | "Dropout" => reshape::identity,
        "Cast" => reshape::cast,
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => reshape::reshape,
        "Transpose" => movement::transpose,
        "Slice" => movement::slice,
        "Split" => movement::split,
        "Gather" => movement::gather,
        "Expand" => movement::expand,
        "Pad" => movement::pad,
        "Concat" => movement::concat,
        _ => return Err(Fault::Operator { help: remedy(op_type) }),
    })
}

/// Advice about an operator that cannot run on encrypted data.
fn remedy(op_type: &str) -> &'static str {
    match op_type {
        "MaxPool" | "GlobalMaxPool" => "train with AveragePool or a strided convolution instead",
        "Softmax" | "LogSoftmax" => {
            "only a final one is supported (the client applies it); elsewhere use a polynomial or sigmoid gate"
        }
        "ArgMax" | "ArgMin" | "TopK" => "remove it: the client decides after decryption",
        "LayerNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "LpNormalization"
        | "MeanVarianceNormalization"
        | "RMSNormalization"
        | "LRN" => "train with BatchNormalization, whose statistics are constants",
        "LSTM" | "GRU" | "RNN" | "Loop" | "If" | "Scan" => {
            "control flow and recurrence are not supported: unroll it, or use convolutions"
        }
        "ConvTranspose" | "Resize" | "Upsample" => {
            "not supported yet: reshape and use ordinary convolutions"
        }
        "QuantizeLinear"
        | "DequantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger"
        | "DynamicQuantizeLinear" => "export the float32 model instead of the quantised one",
        "Exp" | "Log" | "Sqrt" | "Reciprocal" | "Abs" | "Mish" | "Selu" | "Celu" | "Softsign" => {
            "use a supported activation (Relu, Gelu, Silu, Sigmoid, Tanh, Softplus, Elu, …)"
        }
        "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" | "Where" | "Sign"
        | "Not" | "And" | "Or" => "comparisons are not supported: use Relu or Clip",
        _ => {
            "replace it in the model by supported operators (convolution, linear, pooling, activation)"
        }
    }
}
