//! Constant tensors: checked decoding of `TensorProto`, and views as numbers.
//!
//! Every extent and length is checked before tract allocates. Arithmetic on constants is in
//! [`super::fold`].

use std::sync::Arc;

use tract_onnx::data_resolver::MmapDataResolver;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{SparseTensorProto, TensorProto};
use tract_onnx::prelude::Tensor;
use tract_onnx::prelude::tract_ndarray::{ArrayD, IxDyn};

use super::error::{Fault, TensorFault};
use super::guarded;

/// Largest number of elements of a constant. The length of the file bounds stored data; this bounds extents.
pub(super) const MAX_ELEMENTS: usize = 1 << 28;

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
    if let Some(tensor) = unknown_to_tract(proto, data_type.expect("has a width")) {
        return tensor.map(Arc::new);
    }
    let load = || tract_onnx::tensor::load_tensor(&MmapDataResolver, proto, None);
    let tensor = guarded(load).and_then(|tensor| tensor.map_err(|e| e.to_string()));
    Ok(Arc::new(tensor.map_err(|reason| TensorFault::Unreadable { reason })?))
}

/// Tensors whose length has been checked and that tract does not read: the upper halves of f32, which become
/// f32, and typed fields of unsigned integers.
fn unknown_to_tract(
    proto: &TensorProto,
    data_type: DataType,
) -> Option<Result<Tensor, TensorFault>> {
    let shape: Vec<usize> = proto.dims.iter().map(|&d| d as usize).collect();
    let tensor = match (data_type, proto.raw_data.len()) {
        (DataType::Bfloat16, 0) => {
            let values = proto.int32_data.iter().map(|&v| f32::from_bits((v as u32) << 16));
            Tensor::from_shape(&shape, &values.collect::<Vec<_>>())
        }
        (DataType::Bfloat16, _) => {
            let upper = |b: &[u8]| f32::from_bits(u32::from_le_bytes([0, 0, b[0], b[1]]));
            let values: Vec<f32> = proto.raw_data.chunks_exact(2).map(upper).collect();
            Tensor::from_shape(&shape, &values)
        }
        (DataType::Uint32, 0) => {
            let values: Vec<u32> = proto.uint64_data.iter().map(|&v| v as u32).collect();
            Tensor::from_shape(&shape, &values)
        }
        (DataType::Uint64, 0) => Tensor::from_shape(&shape, &proto.uint64_data),
        _ => return None,
    };
    Some(tensor.map_err(|e| TensorFault::Unreadable { reason: e.to_string() }))
}

/// Decodes a tensor stored as its values and where they stand; zeros fill the rest. Its elements are f32, and are
/// subtracted from the number `left`.
pub(super) fn decode_sparse(
    proto: &SparseTensorProto,
    left: &mut usize,
) -> Result<Arc<Tensor>, TensorFault> {
    let misfit = || TensorFault::Sparse { dims: proto.dims.clone() };
    let count = elements(&proto.dims, *left)
        .ok_or_else(|| TensorFault::Extent { dims: proto.dims.clone(), limit: *left })?;
    *left -= count;
    let (values, indices) = proto.values.as_ref().zip(proto.indices.as_ref()).ok_or_else(misfit)?;
    let values = floats(&*decode(values)?).map_err(|_| misfit())?;
    let indices = integers(&*decode(indices)?).map_err(|_| misfit())?;
    // One number an element, or one for each axis.
    let rank = if indices.len() == values.len() { 1 } else { proto.dims.len() };
    if rank == 0 || values.len().checked_mul(rank) != Some(indices.len()) {
        return Err(misfit());
    }
    let mut dense = vec![0f32; count];
    for (&value, index) in values.iter().zip(indices.chunks_exact(rank)) {
        let flat = match index {
            [flat] => Some(*flat),
            index => index
                .iter()
                .zip(&proto.dims)
                .try_fold(0i64, |flat, (&i, &d)| (0..d).contains(&i).then(|| flat * d + i)),
        };
        let place = flat.and_then(|f| dense.get_mut(usize::try_from(f).ok()?));
        *place.ok_or_else(misfit)? = value;
    }
    let shape: Vec<usize> = proto.dims.iter().map(|&d| d as usize).collect();
    let tensor = Tensor::from_shape(&shape, &dense);
    tensor.map(Arc::new).map_err(|e| TensorFault::Unreadable { reason: e.to_string() })
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
        DataType::Uint16 | DataType::Int16 | DataType::Float16 | DataType::Bfloat16 => Some(2),
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
        DataType::Int64 => proto.int64_data.len(),
        DataType::Uint32 | DataType::Uint64 => proto.uint64_data.len(),
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
        let mut half = proto(&[2], DataType::Bfloat16);
        half.raw_data = vec![0x80, 0x3f, 0x20, 0xc0];
        assert_eq!(floats(&decode(&half).unwrap()).unwrap(), [1.0, -2.5]);
        let string = proto(&[1], DataType::String);
        assert_eq!(decode(&string), Err(TensorFault::Type { found: "STRING".into() }));
    }

    #[test]
    fn sparse_tensors_are_filled_with_zeros() {
        let sparse = |dims: &[i64], values: &[f32], places: &[i64], rank: i64| {
            let mut value = proto(&[values.len() as i64], DataType::Float);
            value.float_data = values.to_vec();
            let mut index = proto(&[places.len() as i64 / rank, rank], DataType::Int64);
            index.int64_data = places.to_vec();
            let proto = SparseTensorProto {
                values: Some(value),
                indices: Some(index),
                dims: dims.to_vec(),
            };
            decode_sparse(&proto, &mut 100).map(|t| floats(&t).unwrap())
        };
        let expected = Ok(vec![0.0, 0.0, 5.0, 0.0, -1.0, 0.0]);
        assert_eq!(sparse(&[2, 3], &[5.0, -1.0], &[2, 4], 1), expected);
        assert_eq!(sparse(&[2, 3], &[5.0, -1.0], &[0, 2, 1, 1], 2), expected);
        let misfit = Err(TensorFault::Sparse { dims: vec![2, 3] });
        assert_eq!(sparse(&[2, 3], &[5.0], &[6], 1), misfit);
        assert_eq!(sparse(&[2, 3], &[5.0], &[0, 3], 2), misfit);
        assert_eq!(sparse(&[2, 3], &[5.0, 1.0], &[-1, 2, 4], 1), misfit);
        let large = sparse(&[20, 6], &[5.0], &[0], 1);
        assert!(matches!(large, Err(TensorFault::Extent { .. })));
    }
}
