//! Scalar functions applied elementwise.

use pic_ir::function::Function;
use pic_ir::matrix::Matrix;

use super::super::context::{Context, Encrypted};
use super::super::error::Fault;
use super::super::tensor;

/// Operators that are one [`Function`].
pub(super) fn function(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let function = match &*context.proto.op_type {
        "Relu" => Function::Relu,
        "LeakyRelu" => Function::LeakyRelu { alpha: context.float("alpha", 0.01)? },
        "Sigmoid" => Function::Sigmoid,
        "Tanh" => Function::Tanh,
        "Gelu" => match &*context.string("approximate")? {
            "" | "none" => Function::Gelu,
            "tanh" => Function::GeluTanh,
            other => {
                let reason = format!("is `{other}`, not `none` or `tanh`");
                return Err(Fault::Attribute { name: "approximate", reason });
            }
        },
        "HardSwish" => Function::HardSwish,
        "HardSigmoid" => Function::HardSigmoid {
            alpha: context.float("alpha", 0.2)?,
            beta: context.float("beta", 0.5)?,
        },
        "Elu" => Function::Elu { alpha: context.float("alpha", 1.0)? },
        "Softplus" => Function::Softplus,
        "Erf" => Function::Erf,
        "Clip" => clip(context)?,
        other => unreachable!("{other} is not in the table of functions"),
    };
    Ok(vec![context.activation(&x, function)?])
}

fn clip(context: &Context) -> Result<Function, Fault> {
    let (min, max) = if context.opset < 11 {
        (context.float("min", f32::MIN)?, context.float("max", f32::MAX)?)
    } else {
        let bound = |position, what, default| match context.optional(position, what)? {
            None => Ok(default),
            Some(tensor) => match tensor::floats(&tensor)?[..] {
                [bound] if !bound.is_nan() => Ok(bound),
                _ => Err(Fault::Shape { reason: format!("its {what} is not one number") }),
            },
        };
        (bound(1, "minimum", f32::MIN)?, bound(2, "maximum", f32::MAX)?)
    };
    // The extreme finite numbers are how exporters write "no bound".
    let min = if min <= f32::MIN { f32::NEG_INFINITY } else { min };
    let max = if max >= f32::MAX { f32::INFINITY } else { max };
    Ok(Function::clipped(min, max))
}

/// One slope: a leaky ReLU. Several: `a ⊙ x + (1 − a) ⊙ relu(x)`.
pub(super) fn prelu(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let slopes = tensor::float_array(&*context.constant(1, "slope")?)?;
    let slopes = tensor::broadcast(&slopes, &x.shape)?;
    let alpha = slopes[0];
    if !slopes.iter().all(|s| s.is_finite()) {
        return Err(Fault::NotFinite);
    }
    if slopes.iter().all(|&s| s == alpha) {
        return Ok(vec![context.activation(&x, Function::LeakyRelu { alpha })?]);
    }
    let positive = context.activation(&x, Function::Relu)?;
    let rest = slopes.iter().map(|s| 1.0 - s).collect();
    let shape = x.shape.clone();
    let operands =
        vec![(x.node, Matrix::Diagonal(slopes)), (positive.node, Matrix::Diagonal(rest))];
    Ok(vec![context.linear(operands, None, shape)?])
}
