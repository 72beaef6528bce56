//! Comparisons, logic on their results, and choices by them. Truth is 1, falsehood 0.

use pic_ir::function::Function;
use pic_ir::matrix::Matrix;

use super::super::context::{Context, Encrypted};
use super::super::error::Fault;
use super::arithmetic::{Operand, binary, operands, spread, weighted_sum};

/// `Greater`, `Less`, `GreaterOrEqual` and `LessOrEqual`.
pub(super) fn compare(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    // a ≥ b is not a < b.
    let (sign, is_negated) = match &*context.proto.op_type {
        "Greater" => (1.0, false),
        "Less" => (-1.0, false),
        "GreaterOrEqual" => (-1.0, true),
        _ => (1.0, true),
    };
    let (operands, shape) = binary(context)?;
    let factor = |k: usize| if k == 0 { sign } else { -sign };
    let difference = weighted_sum(context, operands, factor, shape)?;
    let step = context.activation(&difference, Function::Step)?;
    match is_negated {
        true => Ok(vec![context.combination(&[(&step, -1.0)], 1.0)?]),
        false => Ok(vec![step]),
    }
}

/// `Not`, `And`, `Or` and `Xor` of results of comparisons.
pub(super) fn logic(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    if context.proto.op_type == "Not" {
        let x = context.encrypted(0)?;
        return Ok(vec![context.combination(&[(&x, -1.0)], 1.0)?]);
    }
    // a ∧ b = ab, a ∨ b = a + b − ab, a ⊕ b = a + b − 2ab: (a + b)·s + ab·t.
    let (s, t) = match &*context.proto.op_type {
        "And" => (0.0, 1.0),
        "Or" => (1.0, -1.0),
        _ => (1.0, -2.0),
    };
    let ([a, b], shape) = binary(context)?;
    let (x, m, other) = match (a, b) {
        (Operand::Encrypted(x, m), other) | (other, Operand::Encrypted(x, m)) => (x, m, other),
        _ => return Err(Fault::NotEncrypted { position: 0 }),
    };
    let x = spread(context, x, m, &shape)?;
    match other {
        Operand::Constant(c) => {
            let factors = Matrix::Diagonal(c.iter().map(|c| s + t * c).collect());
            let bias = c.iter().map(|c| s * c).collect();
            Ok(vec![context.linear(vec![(x.node, factors)], Some(bias), shape)?])
        }
        Operand::Encrypted(y, m) => {
            let y = spread(context, y, m, &shape)?;
            let both = context.product(&x, &y)?;
            Ok(vec![context.combination(&[(&both, t), (&x, s), (&y, s)], 0.0)?])
        }
    }
}

/// `Where` with an encrypted condition: `b + condition · (a − b)`.
pub(super) fn select(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let (operands, shape) = operands(context)?;
    let [condition, a, b] = operands.try_into().map_err(|operands: Vec<_>| Fault::Shape {
        reason: format!("it has {} operands, not three", operands.len()),
    })?;
    let Operand::Encrypted(condition, m) = condition else {
        return Err(Fault::NotEncrypted { position: 0 });
    };
    let condition = spread(context, condition, m, &shape)?;
    let (mut terms, mut offset) = (Vec::new(), vec![0f32; condition.len()]);
    let mut rest = (Vec::new(), None);
    for (operand, sign) in [(a, 1.0), (b, -1.0)] {
        match operand {
            Operand::Constant(c) => {
                offset.iter_mut().zip(&c).for_each(|(o, c)| *o += sign * c);
                if sign < 0.0 {
                    rest.1 = Some(c);
                }
            }
            Operand::Encrypted(x, m) => {
                let scalar = Matrix::Scalar { len: m.rows(), value: sign };
                terms.push((x.node, scalar.compose(m.clone())));
                if sign < 0.0 {
                    rest.0.push((x.node, m));
                }
            }
        }
    }
    // Constants on both sides only scale the condition.
    let chosen = if terms.is_empty() {
        (condition.node, Matrix::Diagonal(offset))
    } else {
        let difference = context.linear(terms, Some(offset), shape.clone())?;
        let product = context.product(&condition, &difference)?;
        (product.node, Matrix::identity(product.len()))
    };
    let (mut operands, bias) = rest;
    operands.push(chosen);
    Ok(vec![context.linear(operands, bias, shape)?])
}
