//! Elementwise arithmetic with broadcasting, between encrypted tensors or with constants.

use pic_ir::function::Function;
use pic_ir::matrix::Matrix;

use super::super::context::{Context, Encrypted, Value, volume};
use super::super::error::Fault;
use super::super::tensor;
use super::movement::{broadcast_indices, gather_matrix};

/// An operand of an elementwise operator, brought to the common shape.
enum Operand {
    Encrypted(Encrypted, Matrix),
    Constant(Vec<f32>),
}

/// `Add`, `Sub`, and `Sum` and `Mean` of any number of operands.
pub(super) fn add(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let (operands, shape) = operands(context)?;
    let count = operands.len();
    let factor = |k: usize| match &*context.proto.op_type {
        "Sub" if k == 1 => -1.0,
        "Mean" => 1.0 / count as f32,
        _ => 1.0,
    };
    let (mut terms, mut bias) = (Vec::new(), None::<Vec<f32>>);
    for (k, operand) in operands.into_iter().enumerate() {
        match operand {
            Operand::Encrypted(x, m) => {
                let scalar = Matrix::Scalar { len: m.rows(), value: factor(k) };
                terms.push((x.node, scalar.compose(m)));
            }
            Operand::Constant(c) => {
                let sum = bias.get_or_insert_with(|| vec![0.0; c.len()]);
                sum.iter_mut().zip(&c).for_each(|(sum, &c)| *sum += factor(k) * c);
            }
        }
    }
    Ok(vec![context.linear(terms, bias, shape)?])
}

/// `Mul`: a product of two encrypted tensors, or a scaling.
pub(super) fn mul(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let (operands, shape) = binary(context)?;
    match operands {
        [Operand::Encrypted(x, m), Operand::Constant(c)]
        | [Operand::Constant(c), Operand::Encrypted(x, m)] => scale(context, &x, m, c, shape),
        [Operand::Encrypted(x, mx), Operand::Encrypted(y, my)] => {
            let x = spread(context, x, mx, &shape)?;
            let y = spread(context, y, my, &shape)?;
            Ok(vec![context.product(&x, &y)?])
        }
        _ => Err(Fault::NotEncrypted { position: 0 }),
    }
}

/// `Div` by a constant.
pub(super) fn div(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let (operands, shape) = binary(context)?;
    match operands {
        [Operand::Encrypted(x, m), Operand::Constant(c)] => {
            let inverse = c.iter().map(|&c| (1.0 / f64::from(c)) as f32).collect();
            scale(context, &x, m, inverse, shape)
        }
        _ => Err(Fault::NotConstant { position: 1, what: "divisor" }),
    }
}

/// `Neg`.
pub(super) fn neg(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let minus = Matrix::Scalar { len: x.len(), value: -1.0 };
    Ok(vec![context.linear(vec![(x.node, minus)], None, x.shape.clone())?])
}

/// `Pow` with a small positive integer exponent, by repeated squaring.
pub(super) fn pow(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let exponents = tensor::floats(&*context.constant(1, "exponent")?)?;
    let exponent = match exponents.first() {
        Some(&e) if exponents.iter().all(|&other| other == e) => e,
        _ => return Err(Fault::Shape { reason: "its exponents differ".into() }),
    };
    if !(1.0..=64.0).contains(&exponent) || exponent.fract() != 0.0 {
        return Err(Fault::Operator {
            help: "only powers with an integer exponent from 1 to 64 are polynomials",
        });
    }
    // Left to right over the binary digits after the first.
    let (exponent, mut power) = (exponent as u32, x.clone());
    for digit in (0..exponent.ilog2()).rev() {
        power = context.product(&power, &power)?;
        if exponent >> digit & 1 == 1 {
            power = context.product(&x, &power)?;
        }
    }
    Ok(vec![power])
}

/// `Max` and `Min` of two operands, by `max(a, b) = b + relu(a − b)`.
pub(super) fn extremum(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let (operands, shape) = binary(context)?;
    let is_max = context.proto.op_type == "Max";
    let len = shape.iter().product();
    let scalar = |value| Matrix::Scalar { len, value };
    // min(a, b) = b − relu(b − a).
    let sign = if is_max { 1.0 } else { -1.0 };
    match operands {
        [Operand::Encrypted(x, m), Operand::Constant(c)]
        | [Operand::Constant(c), Operand::Encrypted(x, m)] => {
            let x = spread(context, x, m, &shape)?;
            let bound = c[0];
            if bound.is_finite() && c.iter().all(|&other| other == bound) {
                let function = match is_max {
                    true => Function::clipped(bound, f32::INFINITY),
                    false => Function::clipped(f32::NEG_INFINITY, bound),
                };
                return Ok(vec![context.activation(&x, function)?]);
            }
            let offset = c.iter().map(|c| -sign * c).collect();
            let above =
                context.linear(vec![(x.node, scalar(sign))], Some(offset), shape.clone())?;
            let above = context.activation(&above, Function::Relu)?;
            Ok(vec![context.linear(vec![(above.node, scalar(sign))], Some(c), shape)?])
        }
        [Operand::Encrypted(x, mx), Operand::Encrypted(y, my)] => {
            let (x, y) = (spread(context, x, mx, &shape)?, spread(context, y, my, &shape)?);
            let difference = vec![(x.node, scalar(sign)), (y.node, scalar(-sign))];
            let above = context.linear(difference, None, shape.clone())?;
            let above = context.activation(&above, Function::Relu)?;
            let sum = vec![(above.node, scalar(sign)), (y.node, scalar(1.0))];
            Ok(vec![context.linear(sum, None, shape)?])
        }
        _ => Err(Fault::NotEncrypted { position: 0 }),
    }
}

/// `BatchNormalization` with constant statistics: a scale and an offset per channel.
pub(super) fn batch_normalization(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    if context.int("training_mode", 0)? != 0 || context.int("is_test", 1)? != 1 {
        let reason = "asks for the statistics of a batch; export in evaluation mode".into();
        return Err(Fault::Attribute { name: "training_mode", reason });
    }
    let epsilon = f64::from(context.float("epsilon", 1e-5)?);
    let channels = x.shape.get(1).copied().unwrap_or(1);
    let parameter = |position, what| {
        let values = tensor::floats(&*context.constant(position, what)?)?;
        match values.len() == channels {
            true => Ok(values),
            false => Err(Fault::Shape {
                reason: format!("its {what} has {} elements for {channels} channels", values.len()),
            }),
        }
    };
    let (gamma, beta) = (parameter(1, "scale")?, parameter(2, "bias")?);
    let (mean, variance) = (parameter(3, "mean")?, parameter(4, "variance")?);
    let area = x.len() / channels;
    let (mut scales, mut offsets) = (Vec::with_capacity(x.len()), Vec::with_capacity(x.len()));
    for c in 0..channels {
        let scale = f64::from(gamma[c]) / (f64::from(variance[c]) + epsilon).sqrt();
        let offset = f64::from(beta[c]) - f64::from(mean[c]) * scale;
        scales.extend(std::iter::repeat_n(scale as f32, area));
        offsets.extend(std::iter::repeat_n(offset as f32, area));
    }
    let diagonal = Matrix::Diagonal(scales);
    Ok(vec![context.linear(vec![(x.node, diagonal)], Some(offsets), x.shape.clone())?])
}

/// `diagonal(c) · m · x`, as a scalar where `c` is uniform.
fn scale(
    context: &mut Context,
    x: &Encrypted,
    m: Matrix,
    c: Vec<f32>,
    shape: Vec<usize>,
) -> Result<Vec<Encrypted>, Fault> {
    let factor = match c.iter().all(|&v| v == c[0]) {
        true => Matrix::Scalar { len: c.len(), value: c[0] },
        false => Matrix::Diagonal(c),
    };
    Ok(vec![context.linear(vec![(x.node, factor.compose(m))], None, shape)?])
}

/// The tensor `m · x` itself, without a node if `m` is the identity.
fn spread(
    context: &mut Context,
    x: Encrypted,
    m: Matrix,
    shape: &[usize],
) -> Result<Encrypted, Fault> {
    match m {
        Matrix::Scalar { value: 1.0, .. } => Ok(x),
        m => context.linear(vec![(x.node, m)], None, shape.to_vec()),
    }
}

fn binary(context: &mut Context) -> Result<([Operand; 2], Vec<usize>), Fault> {
    let (operands, shape) = operands(context)?;
    let found = operands.len();
    let operands = operands.try_into().map_err(|_| Fault::Shape {
        reason: format!("it has {found} operands, two are supported"),
    })?;
    Ok((operands, shape))
}

/// All operands brought to their common shape.
fn operands(context: &mut Context) -> Result<(Vec<Operand>, Vec<usize>), Fault> {
    let values = context.all()?;
    let mut shape: Vec<usize> = vec![];
    for value in &values {
        shape = common_shape(&shape, value.shape())?;
    }
    let elements = volume(&shape);
    if elements == 0 {
        return Err(Fault::Shape { reason: format!("its result has the empty shape {shape:?}") });
    }
    context.builder.charge(elements.saturating_mul(values.len()))?;
    let operand = |value: Value| match value {
        Value::Encrypted(x) => {
            let index = broadcast_indices(&x, &shape)?;
            let matrix = gather_matrix(x.len(), index.iter().copied().collect());
            Ok(Operand::Encrypted(x, matrix))
        }
        Value::Constant(t) => {
            Ok(Operand::Constant(tensor::broadcast(&tensor::float_array(&t)?, &shape)?))
        }
        _ => unreachable!("nodes with operands that are not known are not lowered"),
    };
    Ok((values.into_iter().map(operand).collect::<Result<_, _>>()?, shape))
}

/// The shape to which two shapes broadcast.
pub(super) fn common_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Fault> {
    let rank = a.len().max(b.len());
    let extent =
        |s: &[usize], axis: usize| (axis + s.len()).checked_sub(rank).map_or(1, |axis| s[axis]);
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(Fault::Shape { reason: format!("shapes {a:?} and {b:?} do not broadcast") }),
        })
        .collect()
}
