//! Table of the operators that run on encrypted data, with advice about those that do not.

mod activation;
mod arithmetic;
mod comparison;
mod contraction;
mod convolution;
mod einsum;
mod extremum;
mod gather;
mod movement;
mod normalization;
mod pad;
mod rearrange;
pub(super) mod reductions;
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
        "ReduceMean" | "ReduceSum" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare"
        | "ReduceLogSum" | "ReduceLogSumExp" => reductions::reduce,
        "ReduceMax" | "ReduceMin" | "GlobalMaxPool" => extremum::reduce_extremum,
        "MaxPool" => extremum::max_pool,
        "LpPool" | "GlobalLpPool" => reductions::lp_pool,
        "Softmax" | "LogSoftmax" => reductions::softmax,
        "LayerNormalization" | "RMSNormalization" => normalization::layer_normalization,
        "InstanceNormalization" | "GroupNormalization" => normalization::group_normalization,
        "LpNormalization" => normalization::lp_normalization,
        "MeanVarianceNormalization" => normalization::mean_variance_normalization,
        "LRN" => normalization::local_response_normalization,
        "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" => comparison::compare,
        "Not" | "And" | "Or" | "Xor" => comparison::logic,
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
        "Max" | "Min" => extremum::extremum,
        "Relu" | "LeakyRelu" | "Sigmoid" | "Tanh" | "Gelu" | "HardSwish" | "HardSigmoid"
        | "Elu" | "Softplus" | "Erf" | "Clip" | "Abs" | "Sign" | "Exp" | "Log" | "Sqrt"
        | "Reciprocal" | "Sin" | "Cos" | "Tan" | "Asin" | "Acos" | "Atan" | "Sinh" | "Cosh"
        | "Asinh" | "Acosh" | "Atanh" | "Mish" | "Softsign" | "ThresholdedRelu" | "Shrink" => {
            activation::function
        }
        "Selu" | "Celu" | "Swish" => activation::scaled_function,
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
        "ArgMax" | "ArgMin" | "TopK" => {
            "only a final one is supported (the client applies it); elsewhere leave it out"
        }
        "LSTM" | "GRU" | "RNN" | "Loop" | "If" | "Scan" => {
            "control flow and recurrence are not supported: unroll it, or use convolutions"
        }
        "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger"
        | "DynamicQuantizeLinear" => {
            "export the float32 model, or the quantised one in QDQ form (QuantizeLinear and DequantizeLinear)"
        }
        "Equal" | "IsNaN" | "IsInf" => {
            "equality is not supported: compare with Greater or Less and a tolerance"
        }
        "Floor" | "Ceil" | "Round" | "Mod" | "BitShift" => {
            "remove the rounding: encrypted numbers are real"
        }
        _ => {
            "replace it in the model by supported operators (convolution, linear, pooling, activation)"
        }
    }
}
