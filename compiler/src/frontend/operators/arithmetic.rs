//! Elementwise arithmetic with broadcasting, between encrypted tensors or with constants.

use pic_ir::function::Function;
use pic_ir::matrix::Matrix;

use super::super::context::{Context, Encrypted, Value, volume};
use super::super::error::Fault;
use super::super::tensor;
use super::movement::{broadcast_indices, gather_matrix};

/// An operand of an elementwise operator, brought to the common shape.
pub(super) enum Operand {
    Encrypted(Encrypted, Matrix),
    Constant(Vec<f32>),
}

/// `Add`, `Sub`, and `Sum` and `Mean` of any number of operands.
pub(super) fn add(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let (operands, shape) = operands(context)?;
    let count = operands.len();
    let op_type = &*context.proto.op_type;
    let factor = |k: usize| match op_type {
        "Sub" if k == 1 => -1.0,
        "Mean" => 1.0 / count as f32,
        _ => 1.0,
    };
    Ok(vec![weighted_sum(context, operands, factor, shape)?])
}

/// The sum of all operands, each times the factor of its position.
pub(super) fn weighted_sum(
    context: &mut Context,
    operands: impl IntoIterator<Item = Operand>,
    factor: impl Fn(usize) -> f32,
    shape: Vec<usize>,
) -> Result<Encrypted, Fault> {
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
    context.linear(terms, bias, shape)
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

/// `Div`: a scaling if the divisor is constant, otherwise a product with its reciprocal.
pub(super) fn div(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let (operands, shape) = binary(context)?;
    let (x, y, matrix) = match operands {
        [Operand::Encrypted(x, m), Operand::Constant(c)] => {
            let inverse = c.iter().map(|&c| (1.0 / f64::from(c)) as f32).collect();
            return scale(context, &x, m, inverse, shape);
        }
        [x, Operand::Encrypted(y, matrix)] => (x, y, matrix),
        _ => return Err(Fault::NotEncrypted { position: 0 }),
    };
    // Before it is broadcast: what is equal has one reciprocal.
    let inverse = context.activation(&y, Function::Power { exponent: -1.0 })?;
    match x {
        Operand::Constant(c) => scale(context, &inverse, matrix, c, shape),
        Operand::Encrypted(x, m) => {
            let (x, inverse) =
                (spread(context, x, m, &shape)?, spread(context, inverse, matrix, &shape)?);
            Ok(vec![context.product(&x, &inverse)?])
        }
    }
}

/// `Neg`.
pub(super) fn neg(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let minus = Matrix::Scalar { len: x.len(), value: -1.0 };
    Ok(vec![context.linear(vec![(x.node, minus)], None, x.shape.clone())?])
}

/// `Pow` with one exponent: products for small positive integers, otherwise a [`Function::Power`]. A constant to an
/// encrypted power is an exponential.
pub(super) fn pow(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    if let Value::Constant(base) = context.required(0)? {
        let (base, shape) = (uniform(&tensor::floats(base)?, "bases")?, base.shape().to_vec());
        if base <= 0.0 {
            return Err(Fault::Unsupported {
                reason: format!("{base} to an encrypted power has no real value everywhere"),
                help: "use a positive base",
            });
        }
        let exponent = context.encrypted(1)?;
        if common_shape(&shape, &exponent.shape)? != exponent.shape {
            return Err(Fault::Shape { reason: "its base has a larger shape".into() });
        }
        let exponent = context.combination(&[(&exponent, libm::log(base.into()) as f32)], 0.0)?;
        return Ok(vec![context.activation(&exponent, Function::Exp)?]);
    }
    let x = context.encrypted(0)?;
    let exponents = context.constant(1, "exponent")?;
    let exponent = uniform(&tensor::floats(&exponents)?, "exponents")?;
    if common_shape(&x.shape, exponents.shape())? != x.shape {
        return Err(Fault::Shape { reason: "its exponents have a larger shape".into() });
    }
    match exponent {
        0.0 => Err(Fault::NotEncrypted { position: 0 }),
        e if e.fract() == 0.0 && (1.0..=64.0).contains(&e) => {
            Ok(vec![power(context, &x, e as u32)?])
        }
        exponent if exponent.is_finite() => {
            Ok(vec![context.activation(&x, Function::Power { exponent })?])
        }
        _ => Err(Fault::NotFinite),
    }
}

fn uniform(values: &[f32], what: &str) -> Result<f32, Fault> {
    match values.first() {
        Some(&first) if values.iter().all(|&other| other == first) => Ok(first),
        _ => Err(Fault::Shape { reason: format!("its {what} differ") }),
    }
}

/// `x^exponent` for a positive exponent, by repeated squaring.
fn power(context: &mut Context, x: &Encrypted, exponent: u32) -> Result<Encrypted, Fault> {
    // Left to right over the binary digits after the first.
    let mut power = x.clone();
    for digit in (0..exponent.ilog2()).rev() {
        power = context.product(&power, &power)?;
        if exponent >> digit & 1 == 1 {
            power = context.product(x, &power)?;
        }
    }
    Ok(power)
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
pub(super) fn spread(
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

pub(super) fn binary(context: &mut Context) -> Result<([Operand; 2], Vec<usize>), Fault> {
    let (operands, shape) = operands(context)?;
    let found = operands.len();
    let operands = operands.try_into().map_err(|_| Fault::Shape {
        reason: format!("it has {found} operands, two are supported"),
    })?;
    Ok((operands, shape))
}

/// All operands brought to their common shape.
pub(super) fn operands(context: &mut Context) -> Result<(Vec<Operand>, Vec<usize>), Fault> {
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
