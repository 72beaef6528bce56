//! Folding of values that are known at compile time: constants, shapes of encrypted tensors, and arithmetic on them
//! as exporters emit it for the targets of Reshape and Expand.
//!
//! The arithmetic itself is tract's: a node with constant operands is evaluated by tract's own
//! operator, if it is listed here with a bound on the size of its result. The few that follow the processor
//! are in [`super::portable`].

use std::sync::{Arc, LazyLock};

use tract_onnx::model::{Onnx, ParsingContext};
use tract_onnx::pb::{ModelProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::TractErrorContext;

use super::context::{Context, Value, volume};
use super::error::{Fault, TensorFault};
use super::tensor;
use super::{guarded, portable};

/// The outputs of the node, if they do not depend on the values of the encrypted input.
pub(super) fn fold(context: &mut Context) -> Result<Option<Vec<Value>>, Fault> {
    let proto = context.proto;
    let constant = |t| Ok(Some(vec![Value::Constant(t)]));
    if proto.op_type == "Constant" {
        return constant(constant_node(context)?);
    }
    match (&*proto.op_type, context.operand(0)) {
        ("Shape" | "Size", Some(Value::Refused | Value::Unknown)) => {
            return Ok(Some(vec![Value::Unknown]));
        }
        ("Shape", Some(value)) => {
            let shape = shape_in_file(context, value);
            let rank = shape.len() as i64;
            let clamp = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank);
            let (start, end) = (clamp(context.int("start", 0)?), clamp(context.int("end", rank)?));
            let range = start as usize..end.max(start) as usize;
            let extents: Vec<i64> = shape[range].iter().map(|&e| e as i64).collect();
            return constant(Arc::new(tensor1(&extents)));
        }
        ("Size", Some(value)) => {
            return constant(Arc::new(tensor0(volume(&shape_in_file(context, value)) as i64)));
        }
        ("CastLike", Some(Value::Constant(tensor))) => {
            let data_type = match context.required(1)? {
                Value::Constant(like) => like.datum_type(),
                _ => DatumType::F32,
            };
            let cast = tensor.cast_to_dt(data_type);
            let cast = cast.map_err(|e| Fault::Fold { reason: e.to_string() })?;
            return constant(Arc::new(cast.into_owned()));
        }
        _ => {}
    }
    let (mut operands, mut is_unknown) = (Vec::new(), false);
    for name in proto.input.iter().filter(|name| !name.is_empty()) {
        match context.builder.values.get(name) {
            Some(Value::Constant(tensor)) => operands.push(tensor.clone()),
            Some(Value::Unknown) => is_unknown = true,
            _ => return Ok(None),
        }
    }
    if is_unknown {
        return Ok(Some(vec![Value::Unknown; proto.output.len()]));
    }
    if operands.is_empty() {
        return Ok(None);
    }
    let tensors: Vec<&Tensor> = operands.iter().map(|tensor| &**tensor).collect();
    let elements = result_elements(&proto.op_type, &tensors)
        .ok_or(Fault::Fold { reason: "this arithmetic on constants is not supported".into() })?;
    context.builder.charge_constants(elements)?;
    let run = guarded(|| run(proto, &operands, context.opset));
    let results = run
        .and_then(|result| result.map_err(|e| e.to_string()))
        .map_err(|reason| Fault::Fold { reason })?;
    Ok(Some(results.into_iter().map(Value::Constant).collect()))
}

/// The extents of a value as the file has them, where encrypted tensors hold all samples of its batch.
fn shape_in_file(context: &Context, value: &Value) -> Vec<usize> {
    let mut shape = value.shape().to_vec();
    let is_of_batch = matches!(value, Value::Encrypted(_) | Value::Quantized(..) | Value::Left(_));
    if let (true, Some(batch)) = (is_of_batch, shape.first_mut()) {
        *batch = context.builder.batch;
    }
    shape
}

fn constant_node(context: &mut Context) -> Result<Arc<Tensor>, Fault> {
    let found = context.proto.attribute.iter().find_map(|a| match &*a.name {
        "value" => a.t.as_ref().map(|t| tensor::decode(t).map_err(Fault::Tensor)),
        "value_float" => Some(Ok(Arc::new(tensor0(a.f)))),
        "value_floats" => Some(Ok(Arc::new(tensor1(&a.floats)))),
        "value_int" => Some(Ok(Arc::new(tensor0(a.i)))),
        "value_ints" => Some(Ok(Arc::new(tensor1(&a.ints)))),
        "sparse_value" => a
            .sparse_tensor
            .as_ref()
            .map(|t| tensor::decode_sparse(t, &mut context.builder.budget).map_err(Fault::Tensor)),
        "value_string" | "value_strings" => {
            Some(Err(Fault::Tensor(TensorFault::Type { found: "STRING".into() })))
        }
        _ => None,
    });
    found.unwrap_or(Err(Fault::Attribute { name: "value", reason: "is missing".into() }))
}

/// An upper bound on the elements that an operator yields from constants; none if it is not one of
/// those that are folded.
fn result_elements(op_type: &str, operands: &[&Tensor]) -> Option<usize> {
    let first = operands[0].len();
    let numbers = |k: usize| tensor::integers(operands.get(k)?).ok();
    // Extents that stand in an operand; a negative one keeps or infers an extent.
    let asked = |k: usize| -> Option<usize> {
        Some(numbers(k)?.iter().fold(1usize, |n, &e| n.saturating_mul(e.max(1) as usize)))
    };
    match op_type {
        "Identity" | "Dropout" | "Cast" | "Neg" | "Sqrt" | "Exp" | "Log" | "Reciprocal" | "Abs"
        | "Floor" | "Ceil" | "Round" | "Sign" | "Relu" | "Clip" | "Not" | "IsNaN" | "Reshape"
        | "Transpose" | "Squeeze" | "Unsqueeze" | "Flatten" | "Slice" | "Split" | "Trilu"
        | "Compress" | "DepthToSpace" | "SpaceToDepth" | "ScatterElements" | "ScatterND"
        | "EyeLike" | "ReduceProd" | "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" => {
            Some(first)
        }
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" | "Sum" | "Mod" | "Equal"
        | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" | "And" | "Or" | "Xor"
        | "Where" => {
            let rank = operands.iter().map(|t| t.rank()).max()?;
            let extents =
                |k: usize| operands.iter().filter_map(move |t| t.shape().iter().nth_back(k));
            Some(volume(&(0..rank).filter_map(|k| extents(k).max().copied()).collect::<Vec<_>>()))
        }
        "Gather" | "GatherND" => Some(first.saturating_mul(operands.get(1)?.len())),
        "GatherElements" => Some(operands.get(1)?.len()),
        "Concat" => Some(operands.iter().map(|t| t.len()).sum()),
        "ConstantOfShape" => asked(0),
        "Expand" | "Tile" => Some(asked(1)?.saturating_mul(first)),
        "Range" => {
            let end = |k: usize| tensor::floats(operands.get(k)?).ok()?.first().copied();
            let steps = (f64::from(end(1)?) - f64::from(end(0)?)) / f64::from(end(2)?);
            // A quotient that is not a number becomes 0; tract refuses it.
            Some((steps.ceil() as usize).saturating_add(1))
        }
        "NonZero" => Some(first.saturating_mul(operands[0].rank())),
        "OneHot" => Some(first.saturating_mul(asked(1)?)),
        _ => None,
    }
}

static TRACT: LazyLock<Onnx> = LazyLock::new(tract_onnx::onnx);

/// Evaluates one node.
fn run(proto: &NodeProto, operands: &[Arc<Tensor>], opset: i64) -> TractResult<Vec<Arc<Tensor>>> {
    let tract = |operands: &[Arc<Tensor>]| run_in_tract(proto, operands, opset);
    match portable::evaluate(&proto.op_type, operands, tract)? {
        Some(result) => Ok(vec![result]),
        None => tract(operands),
    }
}

fn run_in_tract(
    proto: &NodeProto,
    operands: &[Arc<Tensor>],
    opset: i64,
) -> TractResult<Vec<Arc<Tensor>>> {
    let model = ModelProto::default();
    let context = ParsingContext {
        onnx_operator_set_version: opset,
        framework: &TRACT,
        model: &model,
        parent_graphs: vec![],
        model_dir: None,
        template: Default::default(),
    };
    let build = TRACT.op_register.0.get(&proto.op_type).context("unknown to tract")?;
    let (op, _) = build(&context, proto)?;
    let operands = operands.iter().map(|t| t.clone().into_tvalue()).collect();
    let results = op.eval_out_of_plan(operands)?.context("needs state")?;
    Ok(results.into_iter().map(TValue::into_arc_tensor).collect())
}
