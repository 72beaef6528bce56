//! Operators on real constants for which the result of tract depends on the machine.
//!
//! Its exponentials, logarithms and powers are approximations chosen by the processor or functions of the system, and
//! the processor decides how it sums single precision. Here they are the same everywhere. Everything else that is
//! folded is one rounding an element, or moves elements.

use tract_onnx::prelude::tract_ndarray::{ArrayD, IxDyn, Zip};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::broadcast::multi_broadcast;

/// The result of the node if it is one of these operators. `tract` evaluates it on other operands.
pub(super) fn evaluate(
    op_type: &str,
    operands: &[Arc<Tensor>],
    tract: impl FnOnce(&[Arc<Tensor>]) -> TractResult<Vec<Arc<Tensor>>>,
) -> TractResult<Option<Arc<Tensor>>> {
    let data_type = operands[0].datum_type();
    if !data_type.is_float() {
        return Ok(None);
    }
    let result = match (op_type, operands) {
        ("Exp", [x]) => array(x)?.mapv(libm::exp).into_tensor(),
        ("Log", [x]) => array(x)?.mapv(libm::log).into_tensor(),
        ("Pow", [x, y]) => power(&array(x)?, &array(y)?)?.into_tensor(),
        // In double precision tract has one way to sum.
        ("ReduceSum" | "ReduceMean", [x, axes @ ..]) => {
            let x = Arc::new(x.cast_to::<f64>()?.into_owned());
            tract(&[&[x], axes].concat())?.remove(0).into_tensor()
        }
        _ => return Ok(None),
    };
    Ok(Some(Arc::new(result.cast_to_dt(data_type)?.into_owned())))
}

fn array(tensor: &Tensor) -> TractResult<ArrayD<f64>> {
    Ok(tensor.cast_to::<f64>()?.to_plain_array_view::<f64>()?.to_owned())
}

fn power(x: &ArrayD<f64>, y: &ArrayD<f64>) -> TractResult<ArrayD<f64>> {
    let shape = multi_broadcast(&[x.shape(), y.shape()])?;
    let [x, y] = [x, y].map(|a| a.broadcast(IxDyn(&shape)).expect("part of the common shape"));
    Ok(Zip::from(&x).and(&y).map_collect(|&x, &y| libm::pow(x, y)))
}
