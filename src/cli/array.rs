//! Reading `.npy` and `.npz` files: shapes and numbers, whatever the element type.
//!
//! Files are hostile until shown otherwise: the header is bounded before it is parsed, the shape
//! must account for every byte, and archives are unpacked up to a limit. What the numbers mean to a
//! model is [`super::input`]'s business.

use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;

use ndarray_npy::npy::header::Header;
use zip::ZipArchive;
use zip::result::ZipError;

/// Largest header that is parsed; numpy itself stops at 10,000 bytes.
const MAX_HEADER: usize = 4096;

/// Most bytes that one member of an archive may unpack to.
const MAX_MEMBER: u64 = 8 << 30;

/// The elements of an array in C order.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Real numbers: files of f32, f64 and u8.
    Real(Vec<f32>),
    /// Integers of the wider types, which labels use.
    Integer(Vec<i64>),
}

/// An array as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements.
    pub elements: Elements,
}

impl Array {
    /// Reads a `.npy` file, or the member `name` (or the only member) of a `.npz` file.
    pub fn read(path: &Path, name: &str) -> Result<Self, ArrayError> {
        let bytes = fs::read(path).map_err(ArrayError::Read)?;
        Self::decode(&if bytes.starts_with(b"PK") { unpack(bytes, name)? } else { bytes })
    }

    /// Decodes the bytes of a `.npy` file.
    pub fn decode(bytes: &[u8]) -> Result<Self, ArrayError> {
        check_header(bytes)?;
        let mut data = bytes;
        let header =
            Header::from_reader(&mut data).map_err(|e| ArrayError::Header(e.to_string()))?;
        let dtype = header.type_descriptor.to_string();
        let dtype = dtype.trim_matches('\'');
        let (order, kind) = dtype.split_at_checked(1).unwrap_or(("", dtype));
        let size = match kind {
            "f4" | "u4" | "i4" => 4,
            "f8" | "i8" => 8,
            "u1" | "i1" => 1,
            _ => return Err(ArrayError::Type { found: dtype.into() }),
        };
        let expected = header.shape.iter().try_fold(size, |a: usize, &b| a.checked_mul(b));
        if expected != Some(data.len()) {
            return Err(ArrayError::Length { shape: header.shape, size, found: data.len() });
        }
        if header.layout.is_fortran() && header.shape.len() > 1 {
            return Err(ArrayError::Fortran);
        }
        let big = order == ">";
        let elements = match kind {
            "f4" => Elements::Real(numbers(data, big, f32::from_le_bytes)),
            "f8" => Elements::Real(numbers(data, big, |b| f64::from_le_bytes(b) as f32)),
            "u1" => Elements::Real(data.iter().map(|&b| f32::from(b)).collect()),
            "i1" => Elements::Real(data.iter().map(|&b| f32::from(b as i8)).collect()),
            "u4" => Elements::Integer(numbers(data, big, |b| u32::from_le_bytes(b).into())),
            "i4" => Elements::Integer(numbers(data, big, |b| i32::from_le_bytes(b).into())),
            _ => Elements::Integer(numbers(data, big, i64::from_le_bytes)),
        };
        Ok(Self { shape: header.shape, elements })
    }

    /// Elements as numbers that a network takes.
    pub fn into_reals(self) -> Vec<f32> {
        match self.elements {
            Elements::Real(values) => values,
            Elements::Integer(values) => values.into_iter().map(|v| v as f32).collect(),
        }
    }
}

/// The bytes of one member of an archive.
fn unpack(bytes: Vec<u8>, name: &str) -> Result<Vec<u8>, ArrayError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))?;
    let members: Vec<String> =
        archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<_, ZipError>>()?;
    let file = match &members[..] {
        [only] => only.clone(),
        _ => format!("{name}.npy"),
    };
    if !members.contains(&file) {
        let found = members.iter().map(|m| m.trim_end_matches(".npy")).collect::<Vec<_>>();
        return Err(ArrayError::Member { name: name.into(), found: found.join(", ") });
    }
    let mut unpacked = Vec::new();
    archive.by_name(&file)?.take(MAX_MEMBER + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() as u64 > MAX_MEMBER {
        return Err(ArrayError::TooLarge { limit: MAX_MEMBER });
    }
    Ok(unpacked)
}

/// Decodes elements of `SIZE` bytes each.
fn numbers<const SIZE: usize, T>(
    data: &[u8],
    big_endian: bool,
    decode: impl Fn([u8; SIZE]) -> T,
) -> Vec<T> {
    let (chunks, _) = data.as_chunks::<SIZE>();
    let one = |&(mut bytes): &[u8; SIZE]| {
        if big_endian {
            bytes.reverse();
        }
        decode(bytes)
    };
    chunks.iter().map(one).collect()
}

/// Bounds what the header's parser will see: its length, and its nesting, on which it recurses.
fn check_header(bytes: &[u8]) -> Result<(), ArrayError> {
    let bad = |reason: &str| ArrayError::Header(reason.into());
    let (start, length) = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => {
            (10, usize::from(u16::from_le_bytes([*a, *b])))
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, ..] => {
            (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize)
        }
        _ => return Err(ArrayError::Magic),
    };
    if length > MAX_HEADER {
        return Err(bad("its header is longer than any that numpy writes for numbers"));
    }
    let header = bytes.get(start..start + length).ok_or_else(|| bad("its header is cut short"))?;
    if header.iter().filter(|b| b"([{".contains(b)).count() > 4 {
        return Err(bad("its elements are not plain numbers"));
    }
    Ok(())
}

/// Why a file is not an array of numbers.
#[derive(Debug, thiserror::Error)]
pub enum ArrayError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// Neither format.
    #[error("it is neither a .npy nor a .npz file")]
    Magic,
    /// The archive is damaged.
    #[error("its archive cannot be read: {0}")]
    Archive(#[from] ZipError),
    /// The archive does not hold the array.
    #[error("it holds several arrays ({found}), none of them named `{name}`")]
    Member {
        /// Name looked for.
        name: String,
        /// Names found.
        found: String,
    },
    /// The archive unpacks to too much.
    #[error("it unpacks to more than {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// The header is damaged or not of plain numbers.
    #[error("{0}")]
    Header(String),
    /// An element type that is not read.
    #[error("its elements are of type {found}; f32, f64, u8 and integers of 8 to 64 bits are read")]
    Type {
        /// numpy's descriptor.
        found: String,
    },
    /// Shape and file length disagree.
    #[error("shape {shape:?} of {size}-byte elements does not fit {found} bytes of data")]
    Length {
        /// Shape in the header.
        shape: Vec<usize>,
        /// Bytes of an element.
        size: usize,
        /// Bytes after the header.
        found: usize,
    },
    /// Column-major order.
    #[error("it is in Fortran order: save it with numpy.ascontiguousarray")]
    Fortran,
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ndarray::{ArrayD, IxDyn};
    use ndarray_npy::WriteNpyExt;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn npy<T: Clone + ndarray_npy::WritableElement>(shape: &[usize], values: &[T]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let array = ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    fn npz(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn element_types_are_read() {
        let real = |values: &[f32]| Elements::Real(values.to_vec());
        let read = |bytes: Vec<u8>| Array::decode(&bytes).unwrap().elements;
        assert_eq!(read(npy(&[2], &[1.5f32, -2.0])), real(&[1.5, -2.0]));
        assert_eq!(read(npy(&[2], &[1.5f64, -2.0])), real(&[1.5, -2.0]));
        assert_eq!(read(npy(&[2], &[0u8, 255])), real(&[0.0, 255.0]));
        assert_eq!(read(npy(&[2], &[-1i64, 7])), Elements::Integer(vec![-1, 7]));
        assert_eq!(read(npy(&[1, 1], &[7u32])), Elements::Integer(vec![7]));
        let mut big = npy(&[1], &[1.5f32]);
        let at = big.windows(3).position(|w| w == b"<f4").unwrap();
        big[at] = b'>';
        let end = big.len() - 4;
        big[end..].reverse();
        assert_eq!(read(big), real(&[1.5]));
    }

    #[test]
    fn archives_yield_the_only_or_the_named_member() {
        let (x, y) = (npy(&[1], &[1.0f32]), npy(&[1], &[2.0f32]));
        let read = |bytes, name| Array::decode(&unpack(bytes, name)?).map(Array::into_reals);
        assert_eq!(read(npz(&[("any.npy", x.clone())]), "x").unwrap(), [1.0]);
        let both = npz(&[("x.npy", x), ("y.npy", y)]);
        assert_eq!(read(both.clone(), "y").unwrap(), [2.0]);
        assert!(matches!(read(both, "z"), Err(ArrayError::Member { .. })));
    }

    #[test]
    fn hostile_files_are_refused() {
        let good = npy(&[2, 3], &[0.0f32; 6]);
        for length in 0..good.len() {
            assert!(Array::decode(&good[..length]).is_err(), "truncated to {length}");
        }
        let replace = |from: &str, to: &str| {
            let mut bytes = good.clone();
            let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            Array::decode(&bytes).unwrap_err()
        };
        assert!(matches!(replace("(2, 3)", "(9, 3)"), ArrayError::Length { .. }));
        assert!(matches!(replace("False", "True "), ArrayError::Fortran));
        assert!(matches!(replace("<f4", "<c8"), ArrayError::Type { .. }));
        assert!(matches!(Array::decode(b"PNG"), Err(ArrayError::Magic)));

        let header = |text: &str| {
            let length = u16::try_from(text.len()).unwrap().to_le_bytes();
            [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes()].concat()
        };
        let shape = |s: &str| {
            header(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {s}, }}\n"))
        };
        let max = usize::MAX;
        for bytes in
            [shape(&format!("({max}, {max})")), shape(&"(".repeat(2000)), header(&"9".repeat(5000))]
        {
            assert!(Array::decode(&bytes).is_err());
        }
        // Odd, but all of its elements are there.
        let empty = Array::decode(&shape(&format!("(0, {max}, {max})"))).unwrap();
        assert_eq!(empty.elements, Elements::Real(vec![]));
    }
}
