//! `QuantizeLinear` and `DequantizeLinear`, read as the real numbers that they stand for.
//!
//! Constants are computed as the file says, rounding included. A pair around an encrypted tensor is left out, and
//! a note says so: its rounding is an error that quantisation made, and its bounds are those of calibration. One
//! bound is more than that: quantisers remove a ReLU before a tensor whose least integer stands for zero, because
//! saturation does the same, and such a pair stays as a clip.

use std::collections::HashSet;
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use pic_ir::function::Function;
use pic_ir::matrix::{Conv, Matrix};
use pic_ir::network::{Network, Op};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::tract_ndarray::{ArrayD, Axis, IxDyn, Zip};
use tract_onnx::prelude::*;

use super::context::{Context, Encrypted, Quantization, Value};
use super::error::Fault;
use super::tensor;

/// Advice where a pair is not one of real numbers.
const EXPORT_PLAIN: &str =
    "export the float32 model, or quantise each activation by one scale and zero point";

/// The outputs of the node, if it is one of the two operators.
pub(super) fn lower(context: &mut Context) -> Result<Option<Vec<Value>>, Fault> {
    let is_quantize = match &*context.proto.op_type {
        "QuantizeLinear" => true,
        "DequantizeLinear" => false,
        _ => return Ok(None),
    };
    let values = &context.builder.values;
    let is_refused = |v| matches!(values.get(v), Some(Value::Refused | Value::Unknown));
    if context.proto.input.iter().any(is_refused) {
        return Ok(Some(vec![Value::Refused]));
    }
    let value = match (context.required(0)?.clone(), is_quantize) {
        (Value::Constant(x), true) => Value::Constant(quantized(context, &x)?),
        (Value::Constant(x), false) => Value::Constant(dequantized(context, &x)?),
        (Value::Encrypted(x), true) => quantize(context, x)?,
        (Value::Encrypted(x), false) => Value::Encrypted(numbers(context, &x)?),
        (Value::Quantized(x, before), false) if *before == single(context)? => Value::Encrypted(x),
        (Value::Quantized(..), false) => {
            let reason =
                "its scale or zero point is not that of the QuantizeLinear before it".into();
            return Err(Fault::Unsupported { reason, help: EXPORT_PLAIN });
        }
        _ => return Err(Fault::Quantized { position: 0 }),
    };
    Ok(Some(vec![value]))
}

/// An encrypted tensor that is read back as it is.
fn quantize(context: &mut Context, x: Encrypted) -> Result<Value, Fault> {
    let quantization = single(context)?;
    let (least, most) = integers(context)?;
    let network = &context.builder.network;
    let clips = quantization.zero_point == least
        && x.node != network.input()
        && !is_non_negative(network, x.node);
    let x = match clips {
        true => {
            let highest = (most - least) as f32 * quantization.scale;
            context.activation(&x, Function::clipped(0.0, highest))?
        }
        false => x,
    };
    context.builder.quantized_pairs += 1;
    Ok(Value::Quantized(x, Arc::new(quantization)))
}

/// `DequantizeLinear` of an input of integers: a scale and an offset.
fn numbers(context: &mut Context, x: &Encrypted) -> Result<Encrypted, Fault> {
    let Quantization { scale, zero_point } = single(context)?;
    let matrix = Matrix::Scalar { len: x.len(), value: scale };
    let offset = -(zero_point as f32) * scale;
    context.linear(vec![(x.node, matrix)], Some(vec![offset; x.len()]), x.shape.clone())
}

/// The scale and the zero point, if there is one of each.
fn single(context: &Context) -> Result<Quantization, Fault> {
    let scale = tensor::floats(&*context.constant(1, "scale")?)?;
    let zero_point = match context.optional(2, "zero point")? {
        Some(zero_point) => tensor::integers(&zero_point)?,
        None => vec![0],
    };
    match (&scale[..], &zero_point[..]) {
        (&[scale], &[zero_point]) if scale > 0.0 && scale.is_finite() => {
            Ok(Quantization { scale, zero_point })
        }
        _ => Err(Fault::Unsupported {
            reason: "it quantises an encrypted tensor by several scales".into(),
            help: EXPORT_PLAIN,
        }),
    }
}

/// The least and the largest integer of the result of `QuantizeLinear`.
fn integers(context: &Context) -> Result<(i64, i64), Fault> {
    let named = match context.optional(2, "zero point")? {
        Some(zero_point) => zero_point.datum_type(),
        None => match DataType::try_from(context.int("output_dtype", 0)? as i32) {
            Ok(DataType::Undefined | DataType::Uint8) => DatumType::U8,
            Ok(DataType::Int8) => DatumType::I8,
            Ok(DataType::Uint16) => DatumType::U16,
            Ok(DataType::Int16) => DatumType::I16,
            _ => DatumType::Bool,
        },
    };
    match named {
        DatumType::U8 => Ok((0, 255)),
        DatumType::I8 => Ok((-128, 127)),
        DatumType::U16 => Ok((0, 65535)),
        DatumType::I16 => Ok((-32768, 32767)),
        other => Err(Fault::Unsupported {
            reason: format!("it quantises to {other:?}"),
            help: "quantise to integers of 8 or 16 bits, or export the float32 model",
        }),
    }
}

/// Constants rounded to integers, to the even one of two that are as near.
fn quantized(context: &Context, x: &Tensor) -> Result<Arc<Tensor>, Fault> {
    let (least, most) = integers(context)?;
    let [x, scale, zero_point] = parts(context, x)?;
    let rounded = Zip::from(&x).and(&scale).and(&zero_point).map_collect(|&x, &scale, &zero| {
        let nearest = f64::from((x as f32 / scale as f32).round_ties_even()) + zero;
        nearest.clamp(least as f64, most as f64) as i32
    });
    Ok(Arc::new(rounded.into_tensor()))
}

/// Integers as the numbers that they stand for.
fn dequantized(context: &Context, x: &Tensor) -> Result<Arc<Tensor>, Fault> {
    let [x, scale, zero_point] = parts(context, x)?;
    let number = |&x: &f64, &scale: &f64, &zero: &f64| ((x - zero) * scale) as f32;
    let numbers = Zip::from(&x).and(&scale).and(&zero_point).map_collect(number);
    Ok(Arc::new(numbers.into_tensor()))
}

/// A constant with its scales and zero points, all of one shape.
fn parts(context: &Context, x: &Tensor) -> Result<[ArrayD<f64>; 3], Fault> {
    let x = doubles(x)?;
    let scale = spread(context, &doubles(&*context.constant(1, "scale")?)?, x.shape())?;
    let zero_point = match context.optional(2, "zero point")? {
        Some(zero_point) => spread(context, &doubles(&zero_point)?, x.shape())?,
        None => ArrayD::zeros(x.raw_dim()),
    };
    Ok([x, scale, zero_point])
}

/// Parameters of the whole tensor, of each position along an axis, or of each block along an axis.
fn spread(
    context: &Context,
    parameter: &ArrayD<f64>,
    shape: &[usize],
) -> Result<ArrayD<f64>, Fault> {
    let misfit = || Fault::Shape {
        reason: format!("parameters of shape {:?} do not fit {shape:?}", parameter.shape()),
    };
    if parameter.len() == 1 {
        let value = parameter.iter().copied().next().expect("one element");
        return Ok(ArrayD::from_elem(IxDyn(shape), value));
    }
    let axis = context.axis(context.int("axis", 1)?, shape.len())?;
    let mut along = parameter.clone();
    if along.ndim() == 1 {
        let mut extents = vec![1; shape.len()];
        extents[axis] = along.len();
        along = along.into_shape_with_order(IxDyn(&extents)).map_err(|_| misfit())?;
    }
    let block = usize::try_from(context.int("block_size", 0)?).map_err(|_| misfit())?;
    if block > 0 && along.ndim() == shape.len() {
        let places: Vec<usize> = (0..shape[axis]).map(|k| k / block).collect();
        if places.last().is_some_and(|&last| last >= along.shape()[axis]) {
            return Err(misfit());
        }
        along = along.select(Axis(axis), &places);
    }
    along.broadcast(IxDyn(shape)).map(|a| a.to_owned()).ok_or_else(misfit)
}

fn doubles(tensor: &Tensor) -> Result<ArrayD<f64>, Fault> {
    let array =
        tensor.cast_to::<f64>().and_then(|t| Ok(t.to_plain_array_view::<f64>()?.to_owned()));
    array.map_err(|e| Fault::Fold { reason: e.to_string() })
}

/// True if no element of a node can be negative, as far as its operations tell.
fn is_non_negative(network: &Network, node: NodeIndex) -> bool {
    let (mut seen, mut waiting) = (HashSet::from([node]), vec![node]);
    while let Some(node) = waiting.pop() {
        let operands = network.operands(node);
        match &network.graph[node].op {
            Op::Activation(function) if is_non_negative_function(*function) => {}
            Op::Product if operands[0] == operands[1] => {}
            Op::Linear { matrices, bias }
                if matrices.iter().all(has_no_negative)
                    && bias.iter().flatten().all(|&b| b >= 0.0) =>
            {
                waiting.extend(operands.into_iter().filter(|&operand| seen.insert(operand)));
            }
            _ => return false,
        }
    }
    true
}

fn is_non_negative_function(function: Function) -> bool {
    match function {
        Function::Relu | Function::Sigmoid | Function::HardSigmoid { .. } | Function::Softplus => {
            true
        }
        Function::Clip { min, .. } => min >= 0.0,
        _ => false,
    }
}

fn has_no_negative(matrix: &Matrix) -> bool {
    match matrix {
        Matrix::Scalar { value, .. } => *value >= 0.0,
        Matrix::Gather { .. } => true,
        Matrix::Diagonal(values)
        | Matrix::Dense { weights: values, .. }
        | Matrix::Conv(Conv { weights: values, .. })
        | Matrix::Sparse { values, .. } => values.iter().all(|&v| v >= 0.0),
        Matrix::Product(factors) => factors.iter().all(has_no_negative),
    }
}
