//! Readers of matrices and of functions.

use pic_ir::function::Function;
use pic_ir::matrix::{Conv, ConvAxis, Matrix};

use crate::cursor::{Cursor, ParseError};

/// Deepest nesting of products that is read. The verifier refuses any nesting.
const MOST_NESTED: usize = 8;

pub(crate) fn reals(cursor: &mut Cursor) -> Result<Vec<f32>, ParseError> {
    cursor.list(["[", "]"], Cursor::real)
}

/// The function of that name, if there is one.
pub(crate) fn function(name: &str, cursor: &mut Cursor) -> Result<Option<Function>, ParseError> {
    Ok(Some(match name {
        "relu" => Function::Relu,
        "sigmoid" => Function::Sigmoid,
        "tanh" => Function::Tanh,
        "gelu" => Function::Gelu,
        "gelu_tanh" => Function::GeluTanh,
        "silu" => Function::Silu,
        "hard_swish" => Function::HardSwish,
        "softplus" => Function::Softplus,
        "erf" => Function::Erf,
        "sign" => Function::Sign,
        "step" => Function::Step,
        "abs" => Function::Abs,
        "exp" => Function::Exp,
        "log" => Function::Log,
        "sin" => Function::Sin,
        "cos" => Function::Cos,
        "tan" => Function::Tan,
        "asin" => Function::Asin,
        "acos" => Function::Acos,
        "atan" => Function::Atan,
        "sinh" => Function::Sinh,
        "cosh" => Function::Cosh,
        "asinh" => Function::Asinh,
        "acosh" => Function::Acosh,
        "atanh" => Function::Atanh,
        "mish" => Function::Mish,
        "softsign" => Function::Softsign,
        "leaky_relu" => {
            let [alpha] = parameters(cursor)?;
            Function::LeakyRelu { alpha }
        }
        "elu" => {
            let [alpha] = parameters(cursor)?;
            Function::Elu { alpha }
        }
        "power" => {
            let [exponent] = parameters(cursor)?;
            Function::Power { exponent }
        }
        "thresholded_relu" => {
            let [alpha] = parameters(cursor)?;
            Function::ThresholdedRelu { alpha }
        }
        "shrink" => {
            let [lambda, bias] = parameters(cursor)?;
            Function::Shrink { lambda, bias }
        }
        "hard_sigmoid" => {
            let [alpha, beta] = parameters(cursor)?;
            Function::HardSigmoid { alpha, beta }
        }
        "clip" => {
            let [min, max] = parameters(cursor)?;
            Function::Clip { min, max }
        }
        _ => return Ok(None),
    }))
}

fn parameters<const N: usize>(cursor: &mut Cursor) -> Result<[f32; N], ParseError> {
    let start = cursor.clone();
    let found = cursor.list(["(", ")"], Cursor::real)?;
    let count = found.len();
    let wrong_count = |_| start.mismatch(format!("{N} parameters"), count.to_string());
    found.try_into().map_err(wrong_count)
}

pub(crate) fn matrix(cursor: &mut Cursor) -> Result<Matrix, ParseError> {
    nested(cursor, 0)
}

fn nested(cursor: &mut Cursor, depth: usize) -> Result<Matrix, ParseError> {
    let start = cursor.clone();
    if cursor.eat("(") {
        if depth == MOST_NESTED {
            return Err(start.error(format!("products nested at most {MOST_NESTED} deep")));
        }
        return product(cursor, depth + 1);
    }
    match cursor.word() {
        "identity" => Ok(Matrix::identity(length(cursor)?)),
        "scalar" => scalar(cursor),
        "diagonal" => reals(cursor).map(Matrix::Diagonal),
        "gather" => gather(cursor),
        "dense" => dense(cursor),
        "conv" => conv(cursor).map(Matrix::Conv),
        "sparse" => sparse(cursor),
        _ => Err(start.error("a matrix")),
    }
}

/// The factors of a product, behind its parenthesis.
fn product(cursor: &mut Cursor, depth: usize) -> Result<Matrix, ParseError> {
    let mut factors = Vec::new();
    while !cursor.eat(")") {
        if !factors.is_empty() && !cursor.eat("·") {
            return Err(cursor.error("`·` or `)`"));
        }
        factors.push(nested(cursor, depth)?);
    }
    Ok(Matrix::Product(factors))
}

fn length(cursor: &mut Cursor) -> Result<usize, ParseError> {
    cursor.expect("(")?;
    let length = cursor.integer()?;
    cursor.expect(")")?;
    Ok(length)
}

fn scalar(cursor: &mut Cursor) -> Result<Matrix, ParseError> {
    let len = length(cursor)?;
    cursor.expect("[")?;
    let value = cursor.real()?;
    cursor.expect("]")?;
    Ok(Matrix::Scalar { len, value })
}

/// `(rowsxcols`, without the parenthesis that closes.
fn extents(cursor: &mut Cursor) -> Result<(usize, usize), ParseError> {
    cursor.expect("(")?;
    let rows = cursor.integer()?;
    cursor.expect("x")?;
    Ok((rows, cursor.integer()?))
}

fn gather(cursor: &mut Cursor) -> Result<Matrix, ParseError> {
    let (rows, cols) = extents(cursor)?;
    cursor.expect(")")?;
    let source = |cursor: &mut Cursor| match cursor.eat("_") {
        true => Ok(Matrix::ZERO),
        false => cursor.integer(),
    };
    let sources = rows_of(rows, cursor, source)?;
    Ok(Matrix::Gather { cols, sources })
}

fn sparse(cursor: &mut Cursor) -> Result<Matrix, ParseError> {
    let (rows, cols) = extents(cursor)?;
    cursor.expect(")")?;
    let entry = |cursor: &mut Cursor| {
        let column: u32 = cursor.integer()?;
        cursor.expect(":")?;
        Ok((column, cursor.real()?))
    };
    let (mut offsets, mut indices, mut values) = (vec![0], vec![], vec![]);
    rows_of(rows, cursor, |cursor| {
        for (column, value) in cursor.list(["{", "}"], entry)? {
            indices.push(column);
            values.push(value);
        }
        offsets.push(indices.len() as u32);
        Ok(())
    })?;
    Ok(Matrix::Sparse { cols, offsets, indices, values })
}

/// A list with as many items as the geometry has rows.
fn rows_of<T>(
    rows: usize,
    cursor: &mut Cursor,
    row: impl FnMut(&mut Cursor) -> Result<T, ParseError>,
) -> Result<Vec<T>, ParseError> {
    let start = cursor.clone();
    let list = cursor.list(["[", "]"], row)?;
    match list.len() {
        found if found == rows => Ok(list),
        found => Err(start.mismatch(format!("{rows} rows"), found.to_string())),
    }
}

fn dense(cursor: &mut Cursor) -> Result<Matrix, ParseError> {
    let (rows, cols) = extents(cursor)?;
    let (mut outer, mut inner) = (1, 1);
    if cursor.eat(",") {
        cursor.expect("outer")?;
        outer = cursor.integer()?;
        cursor.expect(",")?;
        cursor.expect("inner")?;
        inner = cursor.integer()?;
    }
    cursor.expect(")")?;
    Ok(Matrix::Dense { outer, rows, cols, inner, weights: reals(cursor)? })
}

fn conv(cursor: &mut Cursor) -> Result<Conv, ParseError> {
    cursor.expect("(")?;
    let (in_channels, out_channels) = arrow(cursor)?;
    let (mut groups, mut axes) = (1, vec![]);
    while cursor.eat(",") {
        if cursor.eat("groups") {
            groups = cursor.integer()?;
            break;
        }
        axes.push(axis(cursor)?);
    }
    cursor.expect(")")?;
    Ok(Conv { out_channels, in_channels, groups, axes, weights: reals(cursor)? })
}

fn axis(cursor: &mut Cursor) -> Result<ConvAxis, ParseError> {
    let (input, output) = arrow(cursor)?;
    cursor.expect("kernel")?;
    let kernel = cursor.integer()?;
    let mut optional = |name, default| match cursor.eat(name) {
        true => cursor.integer(),
        false => Ok(default),
    };
    let (stride, dilation) = (optional("stride", 1)?, optional("dilation", 1)?);
    Ok(ConvAxis { input, output, kernel, stride, dilation, pad: optional("pad", 0)? })
}

fn arrow(cursor: &mut Cursor) -> Result<(usize, usize), ParseError> {
    let from = cursor.integer()?;
    cursor.expect("→")?;
    Ok((from, cursor.integer()?))
}
