//! Reader of the polynomials of activations.

use pic_ir::activations::{Activations, Approximation};

use crate::cursor::{Cursor, ParseError};
use crate::matrix::function;

pub(crate) fn activations(cursor: &mut Cursor) -> Result<Activations, ParseError> {
    let mut layers = Vec::new();
    while cursor.end().is_err() {
        layers.push(approximation(cursor)?);
    }
    Ok(Activations { layers })
}

fn approximation(cursor: &mut Cursor) -> Result<Approximation, ParseError> {
    let name = cursor.string()?;
    cursor.expect(":")?;
    let start = cursor.clone();
    let function = function(cursor.word(), cursor)?.ok_or_else(|| start.error("a function"))?;
    cursor.expect("≈")?;
    let coefficients = cursor.list(["[", "]"], Cursor::real)?;
    let mut labelled = |label| {
        cursor.expect(label)?;
        cursor.real()
    };
    Ok(Approximation {
        name,
        function,
        coefficients,
        center: labelled("on")?,
        half_width: labelled("±")?,
        stretch: labelled("stretch")?,
        error: labelled("error")?,
        loss: labelled("loss")?,
    })
}
