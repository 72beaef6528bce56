//! Table of the operators that run on encrypted data, with advice about those that do not.

mod activation;
mod arithmetic;
mod contraction;
mod convolution;
mod einsum;
mod gather;
mod movement;
mod pad;
mod rearrange;
mod reshape;
mod resize;
mod scatter;
mod transposed;

use super::context::{Context, Encrypted};
use super::error::Fault;

/// Lowers a node, of whose operands at least one depends on the input, to its outputs.
pub(super) type Operator = fn(&mut Context) -> Result<Vec<Encrypted>, Fault>;

/// The lowering of an ONNX operator.
pub(super) fn find(op_type: &str) -> Result<Operator, Fault> {
    Ok(match op_type {
        "Conv" => convolution::conv,
        "ConvTranspose" => transposed::conv_transpose,
        "AveragePool" => convolution::average_pool,
        "GlobalAveragePool" => contraction::global_average_pool,
        "ReduceMean" | "ReduceSum" => contraction::reduce,
        "CumSum" => contraction::cumulative_sum,
        "Einsum" => einsum::einsum,
        "Gemm" => contraction::gemm,
        "MatMul" => contraction::matmul,
        "BatchNormalization" => arithmetic::batch_normalization,
        "Add" | "Sub" | "Sum" | "Mean" => arithmetic::add,
        "Mul" => arithmetic::mul,
        "Div" => arithmetic::div,
        "Neg" => arithmetic::neg,
        "Pow" => arithmetic::pow,
        "Max" | "Min" => arithmetic::extremum,
        "Relu" | "LeakyRelu" | "Sigmoid" | "Tanh" | "Gelu" | "HardSwish" | "HardSigmoid"
        | "Elu" | "Softplus" | "Erf" | "Clip" => activation::function,
        "PRelu" => activation::prelu,
        "Identity" => reshape::identity,
        "Dropout" => reshape::dropout,
        "Cast" | "CastLike" => reshape::cast,
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => reshape::reshape,
        "Transpose" => movement::transpose,
        "Slice" => movement::slice,
        "Split" => movement::split,
        "Expand" => movement::expand,
        "Concat" => movement::concat,
        "Pad" => pad::pad,
        "Gather" => gather::gather,
        "GatherElements" => gather::gather_elements,
        "GatherND" => gather::gather_nd,
        "ScatterElements" | "Scatter" => scatter::scatter_elements,
        "ScatterND" => scatter::scatter_nd,
        "Compress" => gather::compress,
        "Where" => gather::choose,
        "DepthToSpace" => rearrange::depth_to_space,
        "SpaceToDepth" => rearrange::space_to_depth,
        "Tile" => rearrange::tile,
        "Trilu" => rearrange::triangle,
        "ReverseSequence" => rearrange::reverse_sequence,
        "Resize" | "Upsample" => resize::resize,
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
        "ArgMax" | "ArgMin" | "TopK" => {
            "only a final one is supported (the client applies it); elsewhere leave it out"
        }
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
        "LpPool" | "GlobalLpPool" => "train with AveragePool instead: roots are not polynomials",
        "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger"
        | "DynamicQuantizeLinear" => {
            "export the float32 model, or the quantised one in QDQ form (QuantizeLinear and DequantizeLinear)"
        }
        "Exp" | "Log" | "Sqrt" | "Reciprocal" | "Abs" | "Mish" | "Selu" | "Celu" | "Softsign" => {
            "use a supported activation (Relu, Gelu, Silu, Sigmoid, Tanh, Softplus, Elu, …)"
        }
        "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" | "Sign" | "Not"
        | "And" | "Or" => "comparisons are not supported: use Relu or Clip",
        _ => {
            "replace it in the model by supported operators (convolution, linear, pooling, activation)"
        }
    }
}
