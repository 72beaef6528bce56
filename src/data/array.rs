//! Reading `.npy` and `.npz` files: shapes and numbers, whatever the element type.
//!
//! Files are hostile until shown otherwise: the header is bounded before it is parsed, its shape is looked at before
//! anything is unpacked, and no more is read than it accounts for. What the numbers mean to a model is
//! the business of [`super::Samples`] and [`super::read_labels`].

use std::io::{BufReader, Read};
use std::path::Path;

use ndarray_npy::npy::header::Header;
use pic_runtime::{input_file, machine};
use zip::ZipArchive;
use zip::result::ZipError;

/// Largest header that is parsed; numpy itself stops at 10,000 bytes.
const MAX_HEADER: usize = 4096;

/// Number of elements that are decoded at a time.
const CHUNK: usize = 1 << 14;

/// The elements of an array in C order.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Real numbers, and integers of up to 16 bits.
    Real(Vec<f32>),
    /// Integers of the wider types, which labels use.
    Integer(Vec<i64>),
    /// Integers of 64 bits without a sign.
    Unsigned(Vec<u64>),
}

/// An array as it is stored in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// Elements in C order.
    pub elements: Elements,
}

impl Array {
    /// Reads a `.npy` file, or the member `name` (or the only member) of a `.npz` file. Before any element is read,
    /// `expected` decides whether the shape is accepted.
    ///
    /// # Errors
    /// Every variant of [`ArrayError`]; [`ArrayError::Shape`] if `expected` returns false.
    pub fn read(
        path: &Path,
        name: &str,
        expected: impl FnOnce(&[usize]) -> bool,
    ) -> Result<Self, ArrayError> {
        let mut file = BufReader::new(input_file::open(path)?);
        if std::io::BufRead::fill_buf(&mut file)?.starts_with(b"PK") {
            let mut archive = ZipArchive::new(file)?;
            let member = archive.by_name(&member(&archive, name)?)?;
            let length = member.size();
            Self::decode_from(member, length, expected)
        } else {
            let length = file.get_ref().metadata()?.len();
            Self::decode_from(file, length, expected)
        }
    }

    /// Decodes the content of a `.npy` file, as [`Array::read`] does.
    ///
    /// # Errors
    /// The errors of [`Array::read`] but those of archives.
    pub fn decode(
        bytes: &[u8],
        expected: impl FnOnce(&[usize]) -> bool,
    ) -> Result<Self, ArrayError> {
        Self::decode_from(bytes, bytes.len() as u64, expected)
    }

    /// Decodes an array from a reader of `length` bytes, as stated.
    fn decode_from(
        mut reader: impl Read,
        length: u64,
        expected: impl FnOnce(&[usize]) -> bool,
    ) -> Result<Self, ArrayError> {
        let start = read_header(&mut reader)?;
        let header =
            Header::from_reader(&mut &start[..]).map_err(|e| ArrayError::Header(e.to_string()))?;
        let dtype = header.type_descriptor.to_string();
        let dtype = dtype.trim_matches('\'');
        let (order, kind) = dtype.split_at_checked(1).unwrap_or(("", dtype));
        let size = match kind {
            "f4" | "u4" | "i4" => 4,
            "f8" | "u8" | "i8" => 8,
            "f2" | "u2" | "i2" => 2,
            "u1" | "i1" | "b1" => 1,
            _ => return Err(ArrayError::Type { found: dtype.into() }),
        };
        let shape = header.shape;
        if !expected(&shape) {
            return Err(ArrayError::Shape { found: shape });
        }
        let found = length.saturating_sub(start.len() as u64);
        let bytes = shape.iter().try_fold(size, |a: usize, &b| a.checked_mul(b));
        let Some(bytes) = bytes.filter(|&bytes| bytes as u64 == found) else {
            return Err(ArrayError::Length { shape, size, found });
        };
        if header.layout.is_fortran() && shape.len() > 1 {
            return Err(ArrayError::Fortran);
        }
        let source = Source { reader, count: bytes / size, big: order == ">" };
        let elements = match kind {
            "f4" => source.numbers(f32::from_le_bytes).map(Elements::Real),
            "f8" => source.numbers(|b| f64::from_le_bytes(b) as f32).map(Elements::Real),
            "u1" => source.numbers(|[b]| f32::from(b)).map(Elements::Real),
            "i1" => source.numbers(|[b]| f32::from(b as i8)).map(Elements::Real),
            "b1" => source.numbers(|[b]| f32::from(b != 0)).map(Elements::Real),
            "f2" => source.numbers(|b| half(u16::from_le_bytes(b))).map(Elements::Real),
            "u2" => source.numbers(|b| u16::from_le_bytes(b).into()).map(Elements::Real),
            "i2" => source.numbers(|b| i16::from_le_bytes(b).into()).map(Elements::Real),
            "u4" => source.numbers(|b| u32::from_le_bytes(b).into()).map(Elements::Integer),
            "i4" => source.numbers(|b| i32::from_le_bytes(b).into()).map(Elements::Integer),
            "i8" => source.numbers(i64::from_le_bytes).map(Elements::Integer),
            _ => source.numbers(u64::from_le_bytes).map(Elements::Unsigned),
        };
        Ok(Self { elements: elements.map_err(|fault| fault.of(&shape, size))?, shape })
    }

    /// The elements as single-precision numbers in C order, integers rounded to the nearest such number.
    pub fn into_reals(self) -> Vec<f32> {
        match self.elements {
            Elements::Real(values) => values,
            Elements::Integer(values) => values.into_iter().map(|v| v as f32).collect(),
            Elements::Unsigned(values) => values.into_iter().map(|v| v as f32).collect(),
        }
    }
}

/// Value of a number in half precision (IEEE 754 binary16).
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from((bits >> 10) & 0x1F), f32::from(bits & 0x3FF));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        0x1F if fraction == 0.0 => f32::INFINITY,
        0x1F => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

/// Name of the requested member: `name`, or the only one.
fn member<R>(archive: &ZipArchive<R>, name: &str) -> Result<String, ArrayError>
where
    R: Read + std::io::Seek,
{
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
    Ok(file)
}

/// Reader of the elements that are still to come.
struct Source<R> {
    reader: R,
    count: usize,
    big: bool,
}

/// Reason why elements are not read.
enum Fault {
    Read(std::io::Error),
    /// The number of bytes is not the one stated.
    Length(u64),
    Memory(u64),
}

impl Fault {
    fn of(self, shape: &[usize], size: usize) -> ArrayError {
        match self {
            Self::Read(error) => ArrayError::Read(error),
            Self::Length(found) => ArrayError::Length { shape: shape.to_vec(), size, found },
            Self::Memory(needed) => ArrayError::Memory { shape: shape.to_vec(), needed },
        }
    }
}

impl<R: Read> Source<R> {
    /// Decodes elements of `SIZE` bytes each.
    fn numbers<const SIZE: usize, T>(
        mut self,
        decode: impl Fn([u8; SIZE]) -> T,
    ) -> Result<Vec<T>, Fault> {
        // Where memory is promised that is not there, taking it does not fail, but using it does.
        let needed = (self.count as u64).saturating_mul(size_of::<T>() as u64);
        let fits = machine::available_bytes().is_none_or(|available| needed <= available);
        let mut values = Vec::new();
        if !fits || values.try_reserve_exact(self.count).is_err() {
            return Err(Fault::Memory(needed));
        }
        let mut buffer = vec![0; SIZE * CHUNK.min(self.count)];
        while values.len() < self.count {
            let chunk = SIZE * CHUNK.min(self.count - values.len());
            let read = read_full(&mut self.reader, &mut buffer[..chunk]).map_err(Fault::Read)?;
            if read < chunk {
                return Err(Fault::Length((SIZE * values.len() + read) as u64));
            }
            let (chunks, _) = buffer[..chunk].as_chunks::<SIZE>();
            values.extend(chunks.iter().map(|&(mut bytes)| {
                if self.big {
                    bytes.reverse();
                }
                decode(bytes)
            }));
        }
        match read_full(&mut self.reader, &mut [0]).map_err(Fault::Read)? {
            0 => Ok(values),
            more => Err(Fault::Length((SIZE * self.count + more) as u64)),
        }
    }
}

/// Fills the buffer as far as the reader has bytes, and returns their number.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Reads a header. Its length and nesting are bounded, because the parser recurses on nesting.
fn read_header(reader: &mut impl Read) -> Result<Vec<u8>, ArrayError> {
    let bad = |reason: &str| ArrayError::Header(reason.into());
    let mut bytes = Vec::new();
    let mut more = |bytes: &mut Vec<u8>, count: usize| {
        reader.by_ref().take(count as u64).read_to_end(bytes).map(|read| read == count)
    };
    more(&mut bytes, 10)?;
    let length = match bytes[..] {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b] => usize::from(u16::from_le_bytes([a, b])),
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b] => {
            more(&mut bytes, 2)?;
            let high = bytes.get(10..).and_then(|high| <[u8; 2]>::try_from(high).ok());
            let [c, d] = high.ok_or_else(|| bad("its header is cut short"))?;
            u32::from_le_bytes([a, b, c, d]) as usize
        }
        _ => return Err(ArrayError::Magic),
    };
    if length > MAX_HEADER {
        return Err(bad("its header is longer than any that numpy writes for numbers"));
    }
    let start = bytes.len();
    if !more(&mut bytes, length)? {
        return Err(bad("its header is cut short"));
    }
    if bytes[start..].iter().filter(|b| b"([{".contains(b)).count() > 4 {
        return Err(bad("its elements are not plain numbers"));
    }
    Ok(bytes)
}

/// Reason why a file is not an array of numbers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// The file is neither `.npy` nor `.npz`.
    #[error("it is neither a .npy nor a .npz file")]
    Magic,
    /// The archive is damaged.
    #[error("its archive cannot be read: {0}")]
    Archive(#[from] ZipError),
    /// The archive does not hold the array.
    #[error("it holds several arrays ({found}), none of them named `{name}`")]
    Member {
        /// Name of the requested member.
        name: String,
        /// Names of the members of the archive.
        found: String,
    },
    /// The shape is not one that is accepted.
    #[error("its shape is {found:?}")]
    Shape {
        /// Shape in the header.
        found: Vec<usize>,
    },
    /// The elements do not fit memory.
    #[error("an array of shape {shape:?} takes {needed} bytes of memory, which are not available")]
    Memory {
        /// Shape in the header.
        shape: Vec<usize>,
        /// Bytes of the elements.
        needed: u64,
    },
    /// The header is damaged or not of plain numbers.
    #[error("{0}")]
    Header(String),
    /// The element type is not supported.
    #[error(
        "its elements are of type {found}; float16, float32, float64, int8 to int64, uint8 to uint64 and bool are \
         read: convert them with x.astype(\"float32\")"
    )]
    Type {
        /// numpy's descriptor.
        found: String,
    },
    /// The length of the file does not follow from shape and element type.
    #[error("shape {shape:?} of {size}-byte elements does not fit {found} bytes of data")]
    Length {
        /// Shape in the header.
        shape: Vec<usize>,
        /// Bytes of an element.
        size: usize,
        /// Number of bytes after the header, or as many as were read.
        found: u64,
    },
    /// The elements are in column-major order.
    #[error("it is in Fortran order: save it with numpy.ascontiguousarray")]
    Fortran,
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use ndarray::{ArrayD, IxDyn};
    use ndarray_npy::WriteNpyExt;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn decode(bytes: &[u8]) -> Result<Array, ArrayError> {
        Array::decode(bytes, |_| true)
    }

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
        let read = |bytes: Vec<u8>| decode(&bytes).unwrap().elements;
        assert_eq!(read(npy(&[2], &[1.5f32, -2.0])), real(&[1.5, -2.0]));
        assert_eq!(read(npy(&[2], &[1.5f64, -2.0])), real(&[1.5, -2.0]));
        assert_eq!(read(npy(&[2], &[0u8, 255])), real(&[0.0, 255.0]));
        assert_eq!(read(npy(&[2], &[-1i64, 7])), Elements::Integer(vec![-1, 7]));
        assert_eq!(read(npy(&[1, 1], &[7u32])), Elements::Integer(vec![7]));
        assert_eq!(read(npy(&[2], &[-7i32, 7])), Elements::Integer(vec![-7, 7]));
        assert_eq!(read(npy(&[2], &[-7i16, 300])), real(&[-7.0, 300.0]));
        assert_eq!(read(npy(&[2], &[7u16, 65535])), real(&[7.0, 65535.0]));
        assert_eq!(read(npy(&[2], &[-7i8, 7])), real(&[-7.0, 7.0]));
        assert_eq!(read(npy(&[2], &[7, u64::MAX])), Elements::Unsigned(vec![7, u64::MAX]));
        assert_eq!(read(npy(&[2], &[true, false])), real(&[1.0, 0.0]));
        let mut halves = npy(&[2], &[0x3E00u16, 0xC000]);
        let at = halves.windows(3).position(|w| w == b"<u2").unwrap();
        halves[at + 1] = b'f';
        assert_eq!(read(halves), real(&[1.5, -2.0]));
        let mut big = npy(&[1], &[1.5f32]);
        let at = big.windows(3).position(|w| w == b"<f4").unwrap();
        big[at] = b'>';
        let end = big.len() - 4;
        big[end..].reverse();
        assert_eq!(read(big), real(&[1.5]));
    }

    /// The smallest, the least normal, the largest and a third, as IEEE 754 has them.
    #[test]
    fn halves_are_decoded() {
        let cases = [(0x0001, 2f32.powi(-24)), (0x0400, 2f32.powi(-14)), (0x7BFF, 65504.0)];
        assert!(cases.iter().all(|&(bits, value)| half(bits) == value));
        assert_eq!((half(0x3555), half(0x8000)), (0.333_251_95, 0.0));
        assert_eq!((half(0x7C00), half(0xFC00)), (f32::INFINITY, f32::NEG_INFINITY));
        assert!(half(0x7E00).is_nan());
    }

    #[test]
    fn the_remedy_for_other_types_is_told() {
        let mut bytes = npy(&[1], &[1.0f64]);
        let at = bytes.windows(3).position(|w| w == b"<f8").unwrap();
        bytes[at + 1] = b'c';
        let message = decode(&bytes).unwrap_err().to_string();
        for word in ["c8", "int8 to int64, uint8 to uint64", "astype(\"float32\")"] {
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn archives_yield_the_only_or_the_named_member() {
        let (x, y) = (npy(&[1], &[1.0f32]), npy(&[1], &[2.0f32]));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let read = |bytes: Vec<u8>, name| {
            std::fs::write(&path, bytes).unwrap();
            Array::read(&path, name, |_| true).map(Array::into_reals)
        };
        assert_eq!(read(npz(&[("any.npy", x.clone())]), "x").unwrap(), [1.0]);
        let both = npz(&[("x.npy", x), ("y.npy", y)]);
        assert_eq!(read(both.clone(), "y").unwrap(), [2.0]);
        assert!(matches!(read(both, "z"), Err(ArrayError::Member { .. })));
    }

    /// Members that unpack to far more than they hold, or state, or should have.
    #[test]
    fn bombs_are_not_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bomb.npz");
        let read = |bytes: &[u8], expected: &[usize]| {
            std::fs::write(&path, bytes).unwrap();
            Array::read(&path, "x", |shape| shape == expected)
        };
        let zeros = vec![0u8; 4 << 20];
        let bomb = npz(&[("x.npy", npy(&[4 << 20], &zeros))]);
        assert!(bomb.len() < 1 << 16);
        // Another shape: its header is all that is unpacked.
        assert!(matches!(read(&bomb, &[64]), Err(ArrayError::Shape { .. })));
        // The right shape, followed by more.
        let mut longer = npy(&[64], &zeros[..64]);
        longer.extend(&zeros);
        let longer = npz(&[("x.npy", longer)]);
        assert!(matches!(read(&longer, &[64]), Err(ArrayError::Length { .. })));
        // The size in the archive is as the header says, the content is longer.
        let size = (u32::try_from(npy(&[64], &zeros[..64]).len()).unwrap()).to_le_bytes();
        let stated = u32::try_from(npy(&[64], &zeros[..64]).len() + zeros.len()).unwrap();
        let mut lying = longer.clone();
        let places: Vec<usize> =
            (0..lying.len() - 4).filter(|&at| lying[at..at + 4] == stated.to_le_bytes()).collect();
        assert_eq!(places.len(), 2, "in the header of the member and in the directory");
        places.iter().for_each(|&at| lying[at..at + 4].copy_from_slice(&size));
        assert!(read(&lying, &[64]).is_err());
        // More than any machine has.
        let huge = [1usize << 50];
        let mut header = npy(&[1], &[0u8]);
        let at = header.windows(4).position(|w| w == b"(1,)").unwrap();
        let shape = format!("({},), }}", huge[0]);
        header.splice(at..at + shape.len(), shape.bytes());
        assert!(matches!(read(&header, &huge), Err(ArrayError::Length { .. })));
    }

    /// `PIC_TEST_MUTATIONS` sets how many damages of each format are tried.
    #[test]
    fn damaged_files_are_refused_or_read() {
        let cases = std::env::var("PIC_TEST_MUTATIONS").map_or(500, |count| count.parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let x = npy(&[2, 3], &[0.5f32; 6]);
        let files = [
            x.clone(),
            npz(&[("x.npy", x.clone())]),
            npz(&[("a.npy", npy(&[1], &[1i64])), ("x.npy", x)]),
        ];
        let mut state = 1u64;
        let mut below = |bound: usize| {
            // The constants of Knuth's MMIX.
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % bound
        };
        let mut read = 0;
        for case in 0..cases * files.len() {
            let mut bytes = files[case % files.len()].clone();
            for _ in 0..=below(3) {
                let at = below(bytes.len());
                match below(6) {
                    0 => bytes[at] ^= 1 << below(8),
                    1 => bytes[at] = below(256) as u8,
                    2 => bytes[at] = b"0123456789(),'"[below(14)],
                    3 => bytes.truncate(at + 1),
                    4 => bytes.insert(at, below(256) as u8),
                    _ => bytes[at] = [0, 0xFF][below(2)],
                }
            }
            std::fs::write(&path, bytes).unwrap();
            if let Ok(array) = Array::read(&path, "x", |_| true) {
                assert_eq!(array.shape.iter().product::<usize>(), array.into_reals().len());
                read += 1;
            }
        }
        println!("{} damaged files of numpy, {read} of them read", cases * files.len());
    }

    #[test]
    fn hostile_files_are_refused() {
        let good = npy(&[2, 3], &[0.0f32; 6]);
        for length in 0..good.len() {
            assert!(decode(&good[..length]).is_err(), "truncated to {length}");
        }
        let replace = |from: &str, to: &str| {
            let mut bytes = good.clone();
            let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            decode(&bytes).unwrap_err()
        };
        assert!(matches!(replace("(2, 3)", "(9, 3)"), ArrayError::Length { .. }));
        assert!(matches!(replace("False", "True "), ArrayError::Fortran));
        assert!(matches!(replace("<f4", "<c8"), ArrayError::Type { .. }));
        assert!(matches!(decode(b"PNG"), Err(ArrayError::Magic)));

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
            assert!(decode(&bytes).is_err());
        }
        // Odd, but all of its elements are there.
        let empty = decode(&shape(&format!("(0, {max}, {max})"))).unwrap();
        assert_eq!(empty.elements, Elements::Real(vec![]));
    }
}
