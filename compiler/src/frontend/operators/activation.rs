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
        "Abs" => Function::Abs,
        "Sign" => Function::Sign,
        "Exp" => Function::Exp,
        "Log" => Function::Log,
        "Sqrt" => Function::Power { exponent: 0.5 },
        "Reciprocal" => Function::Power { exponent: -1.0 },
        "Sin" => Function::Sin,
        "Cos" => Function::Cos,
        "Tan" => Function::Tan,
        "Asin" => Function::Asin,
        "Acos" => Function::Acos,
        "Atan" => Function::Atan,
        "Sinh" => Function::Sinh,
        "Cosh" => Function::Cosh,
        "Asinh" => Function::Asinh,
        "Acosh" => Function::Acosh,
        "Atanh" => Function::Atanh,
        "Mish" => Function::Mish,
        "Softsign" => Function::Softsign,
        "ThresholdedRelu" => Function::ThresholdedRelu { alpha: context.float("alpha", 1.0)? },
        "Shrink" => shrink(context)?,
        other => unreachable!("{other} is not in the table of functions"),
    };
    Ok(vec![context.activation(&x, function)?])
}

fn shrink(context: &Context) -> Result<Function, Fault> {
    let (lambda, bias) = (context.float("lambd", 0.5)?, context.float("bias", 0.0)?);
    match lambda >= 0.0 {
        true => Ok(Function::Shrink { lambda, bias }),
        false => {
            Err(Fault::Attribute { name: "lambd", reason: format!("is {lambda}, below zero") })
        }
    }
}

/// Functions that are others with scaled input and output.
pub(super) fn scaled_function(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let (input, function, output) = match &*context.proto.op_type {
        "Selu" => {
            // The constants of the paper (Klambauer et al. 2017), as ONNX rounds them.
            let alpha = context.float("alpha", 1.673_263_2)?;
            (1.0, Function::Elu { alpha }, context.float("gamma", 1.050_701)?)
        }
        "Celu" => {
            let alpha = context.float("alpha", 1.0)?;
            (1.0 / alpha, Function::Elu { alpha: 1.0 }, alpha)
        }
        "Swish" => {
            let alpha = context.float("alpha", 1.0)?;
            (alpha, Function::Silu, 1.0 / alpha)
        }
        other => unreachable!("{other} is not in the table of functions"),
    };
    if output <= 0.0 || input <= 0.0 {
        let reason = "is not positive".into();
        return Err(Fault::Attribute { name: "alpha", reason });
    }
    let x = context.combination(&[(&x, input)], 0.0)?;
    let y = context.activation(&x, function)?;
    Ok(vec![context.combination(&[(&y, output)], 0.0)?])
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
