//! Constant tensors: checked decoding of `TensorProto`, and views as numbers.
//!
//! Every extent and length is checked before tract allocates. Arithmetic on constants is in
//! [`super::fold`].

use std::sync::Arc;

use tract_onnx::data_resolver::MmapDataResolver;
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::prelude::Tensor;
use tract_onnx::prelude::tract_ndarray::{ArrayD, IxDyn};

use super::error::{Fault, TensorFault};
use super::guarded;

/// Largest number of elements of a constant. The length of the file bounds stored data; this bounds extents.
const MAX_ELEMENTS: usize = 1 << 28;

/// Decodes a tensor stored in the file.
pub(super) fn decode(proto: &TensorProto) -> Result<Arc<Tensor>, TensorFault> {
    if proto.data_location == Some(DataLocation::External as i32) {
        return Err(TensorFault::External);
    }
    let data_type = DataType::try_from(proto.data_type);
    let width = data_type.ok().and_then(width).ok_or_else(|| TensorFault::Type {
        found: data_type.map_or(proto.data_type.to_string(), |t| t.as_str_name().into()),
    })?;
    let dims = || proto.dims.clone();
    let elements = elements(&proto.dims, MAX_ELEMENTS)
        .ok_or_else(|| TensorFault::Extent { dims: dims(), limit: MAX_ELEMENTS })?;
    let (expected, found, unit) = match proto.raw_data.len() {
        0 => (elements, typed_len(proto, data_type.expect("has a width")), "elements"),
        bytes => (elements * width, bytes, "bytes"),
    };
    if found != expected {
        return Err(TensorFault::Length { dims: dims(), expected, found, unit });
    }
    let load = || tract_onnx::tensor::load_tensor(&MmapDataResolver, proto, None);
    let tensor = guarded(load).and_then(|tensor| tensor.map_err(|e| e.to_string()));
    Ok(Arc::new(tensor.map_err(|reason| TensorFault::Unreadable { reason })?))
}

/// Number of elements of a shape from outside, if neither it nor any extent exceeds `limit`.
pub(super) fn elements(dims: &[i64], limit: usize) -> Option<usize> {
    let fits = |n: &usize| *n <= limit;
    dims.iter().try_fold(1usize, |product, &d| {
        product.checked_mul(usize::try_from(d).ok().filter(fits)?).filter(fits)
    })
}

/// Bytes of an element in `raw_data`, for the supported types.
fn width(data_type: DataType) -> Option<usize> {
    match data_type {
        DataType::Bool | DataType::Uint8 | DataType::Int8 => Some(1),
        DataType::Uint16 | DataType::Int16 | DataType::Float16 => Some(2),
        DataType::Uint32 | DataType::Int32 | DataType::Float => Some(4),
        DataType::Uint64 | DataType::Int64 | DataType::Double => Some(8),
        _ => None,
    }
}

/// Length of the typed field in which tract looks for elements of this type.
fn typed_len(proto: &TensorProto, data_type: DataType) -> usize {
    match data_type {
        DataType::Float => proto.float_data.len(),
        DataType::Double => proto.double_data.len(),
        DataType::Int64 | DataType::Uint64 => proto.int64_data.len(),
        _ => proto.int32_data.len(),
    }
}

/// The elements as real numbers, row-major.
pub(super) fn floats(tensor: &Tensor) -> Result<Vec<f32>, Fault> {
    Ok(float_array(tensor)?.into_iter().collect())
}

/// The elements as real numbers with their shape.
pub(super) fn float_array(tensor: &Tensor) -> Result<ArrayD<f32>, Fault> {
    let array =
        tensor.cast_to::<f32>().and_then(|t| Ok(t.to_plain_array_view::<f32>()?.to_owned()));
    array.map_err(|e| Fault::Fold { reason: e.to_string() })
}

/// The elements as integers (shapes, axes, pads), row-major.
pub(super) fn integers(tensor: &Tensor) -> Result<Vec<i64>, Fault> {
    let cast = tensor
        .cast_to::<i64>()
        .and_then(|t| Ok(t.to_plain_array_view::<i64>()?.iter().copied().collect()));
    cast.map_err(|e| Fault::Fold { reason: e.to_string() })
}

/// The elements of a constant spread to a shape; it may have leading extents of 1.
pub(super) fn broadcast(constant: &ArrayD<f32>, shape: &[usize]) -> Result<Vec<f32>, Fault> {
    let spread = constant.broadcast(IxDyn(shape)).ok_or_else(|| Fault::Shape {
        reason: format!(
            "a constant of shape {:?} does not broadcast to {shape:?}",
            constant.shape()
        ),
    })?;
    Ok(spread.iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proto(dims: &[i64], data_type: DataType) -> TensorProto {
        TensorProto { dims: dims.to_vec(), data_type: data_type as i32, ..Default::default() }
    }

    #[test]
    fn both_encodings_agree() {
        let mut typed = proto(&[2, 2], DataType::Float);
        typed.float_data = vec![1.0, 2.0, 3.0, 4.5];
        let mut raw = proto(&[2, 2], DataType::Float);
        raw.raw_data = typed.float_data.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(floats(&decode(&typed).unwrap()).unwrap(), typed.float_data);
        assert_eq!(floats(&decode(&raw).unwrap()).unwrap(), typed.float_data);
    }

    #[test]
    fn hostile_tensors_are_refused_before_allocation() {
        let bomb = proto(&[1 << 40, 1 << 40], DataType::Float);
        assert!(matches!(decode(&bomb), Err(TensorFault::Extent { .. })));
        let negative = proto(&[-1], DataType::Int64);
        assert!(matches!(decode(&negative), Err(TensorFault::Extent { .. })));
        let mut short = proto(&[3], DataType::Float);
        short.raw_data = vec![0; 8];
        let length = TensorFault::Length { dims: vec![3], expected: 12, found: 8, unit: "bytes" };
        assert_eq!(decode(&short), Err(length));
        let empty = proto(&[3], DataType::Int64);
        assert!(matches!(decode(&empty), Err(TensorFault::Length { found: 0, .. })));
        let string = proto(&[1], DataType::String);
        assert_eq!(decode(&string), Err(TensorFault::Type { found: "STRING".into() }));
    }
}
