//! Operators that keep every element in its place: new shapes, and the identity.

use pic_ir::matrix::Matrix;
use tract_onnx::pb::tensor_proto::DataType;

use super::super::context::{Context, Encrypted, MAX_RANK, Value, unexpected};
use super::super::error::Fault;
use super::super::tensor;

/// `Identity`: the operand itself.
pub(super) fn identity(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    Ok(vec![context.encrypted(0)?])
}

/// `Dropout` outside training: the operand itself.
pub(super) fn dropout(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let training = context.optional(2, "training mode")?.map(|t| tensor::floats(&t)).transpose()?;
    match training.is_some_and(|t| t.contains(&1.0)) {
        false => identity(context),
        true => Err(Fault::Unsupported {
            reason: "it drops elements at random".into(),
            help: "export the model in evaluation mode",
        }),
    }
}

/// `Cast` and `CastLike` between kinds of real numbers: the operand itself.
pub(super) fn cast(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let (keeps, name) = match context.operand(1) {
        Some(Value::Encrypted(like)) => (!is_truth(context, like), "truth values".into()),
        Some(Value::Constant(like)) => {
            (like.datum_type().is_float(), format!("{:?}", like.datum_type()))
        }
        _ => match DataType::try_from(context.int("to", 0)? as i32) {
            Ok(DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16) => {
                (true, String::new())
            }
            other => (false, other.map_or("an unknown type".into(), |t| t.as_str_name().into())),
        },
    };
    match keeps {
        true => identity(context),
        false => Err(Fault::Unsupported {
            reason: format!("it rounds encrypted numbers to {name}"),
            help: "remove the cast: encrypted numbers are real",
        }),
    }
}

/// True if a tensor is the result of a comparison or of logic.
fn is_truth(context: &Context, tensor: &Encrypted) -> bool {
    let logic = ["Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Not", "And", "Or", "Xor"];
    let node = &context.builder.network.graph[tensor.node];
    let is_logic = |origin: &String| logic.iter().any(|op| origin.ends_with(&format!("({op})")));
    node.provenance.last().is_some_and(is_logic)
}

/// `Flatten`, `Reshape`, `Squeeze` and `Unsqueeze`: the same elements under another shape.
pub(super) fn reshape(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let shape = match &*context.proto.op_type {
        "Flatten" => {
            let axis = context.int("axis", 1)?;
            // An axis equal to the rank is allowed here, and flattens everything into the batch.
            let axis = if axis < 0 { axis.saturating_add(x.shape.len() as i64) } else { axis };
            let split = usize::try_from(axis).ok().filter(|&a| a <= x.shape.len());
            let split = split.ok_or_else(|| Fault::Attribute {
                name: "axis",
                reason: format!("{axis} is outside a tensor of shape {:?}", x.shape),
            })?;
            let (rows, cols) = x.shape.split_at(split);
            if rows.is_empty() {
                let how = "axis 0 flattens the samples into one row";
                return Err(Fault::MixesSamples { how });
            }
            vec![rows.iter().product(), cols.iter().product()]
        }
        "Reshape" => {
            let mut target = context.integers(1, "shape")?;
            if let Some(batch) = target.first_mut() {
                if *batch == 1 {
                    context.single_sample("it joins the samples into one")?;
                }
                *batch = context.of_one_sample(*batch);
            }
            reshaped(&x.shape, &target, context.int("allowzero", 0)? != 0)?
        }
        "Squeeze" => squeezed(context, &x.shape)?,
        _ => unsqueezed(context, &x.shape)?,
    };
    let matrix = Matrix::identity(x.len());
    Ok(vec![context.linear(vec![(x.node, matrix)], None, shape)?])
}

fn reshaped(shape: &[usize], target: &[i64], allow_zero: bool) -> Result<Vec<usize>, Fault> {
    let mismatch = || Fault::Shape {
        reason: format!("a tensor of shape {shape:?} cannot be reshaped to {target:?}"),
    };
    let elements: usize = shape.iter().product();
    let mut inferred = None;
    let mut result = Vec::with_capacity(target.len());
    for (axis, &extent) in target.iter().enumerate() {
        result.push(match extent {
            -1 if inferred.replace(axis).is_none() => 1,
            0 if !allow_zero => *shape.get(axis).ok_or_else(mismatch)?,
            extent => usize::try_from(extent).map_err(|_| mismatch())?,
        });
    }
    let known = result.iter().try_fold(1usize, |n, &e| n.checked_mul(e)).ok_or_else(mismatch)?;
    if let Some(axis) = inferred
        && known > 0
    {
        result[axis] = elements / known;
    }
    match known.checked_mul(inferred.map_or(1, |axis| result[axis])) {
        Some(n) if n == elements => Ok(result),
        _ => Err(mismatch()),
    }
}

fn squeezed(context: &Context, shape: &[usize]) -> Result<Vec<usize>, Fault> {
    let axes = match context.list("axes", 1)? {
        Some(axes) => {
            axes.iter().map(|&a| context.axis(a, shape.len())).collect::<Result<_, _>>()?
        }
        // Without axes all extents of 1 go; the batch is not one of them in a dynamic batch.
        None => (1..shape.len()).filter(|&a| shape[a] == 1).collect::<Vec<_>>(),
    };
    if axes.contains(&0) {
        return Err(Fault::MixesSamples { how: "it removes the batch axis" });
    }
    if axes.iter().any(|&a| shape[a] != 1) {
        return Err(unexpected(&format!("extents of 1 at axes {axes:?}"), shape));
    }
    Ok((0..shape.len()).filter(|a| !axes.contains(a)).map(|a| shape[a]).collect())
}

fn unsqueezed(context: &Context, shape: &[usize]) -> Result<Vec<usize>, Fault> {
    let axes = context.list("axes", 1)?.ok_or(Fault::Missing { position: 1 })?;
    let rank = shape.len() + axes.len();
    if rank > MAX_RANK {
        return Err(Fault::Shape { reason: format!("it makes more than {MAX_RANK} axes") });
    }
    let axes = axes.iter().map(|&a| context.axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
    if axes.contains(&0) {
        return Err(Fault::MixesSamples { how: "it inserts an axis before the batch" });
    }
    let mut old = shape.iter();
    let extent = |a| if axes.contains(&a) { Some(1) } else { old.next().copied() };
    let result: Vec<usize> = (0..rank).filter_map(extent).collect();
    match result.len() == rank {
        true => Ok(result),
        false => Err(Fault::Attribute { name: "axes", reason: "names an axis twice".into() }),
    }
}
