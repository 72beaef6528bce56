//! Linear maps between flattened tensors, kept in the form that generates their rows cheaply.
//!
//! This is the single definition of what each linear operator of ONNX does: the plaintext
//! evaluation, the composition of operators and the encrypted lowering all read [`Matrix::row`].
//! Nothing is expanded: a convolution stays a kernel and its geometry.

use std::cell::Cell;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A linear map `y = M·x` between row-major flattened tensors (batch axis excluded).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Matrix {
    /// `value · identity`.
    Scalar {
        /// Rows and columns.
        len: usize,
        /// The factor.
        value: f32,
    },
    /// A diagonal matrix.
    Diagonal(Vec<f32>),
    /// `y[i] = x[sources[i]]`, or zero where the source is [`Matrix::ZERO`]: every movement of
    /// data (transpose, slice, constant pad, concatenation, broadcast).
    Gather {
        /// Length of `x`.
        cols: usize,
        /// One source per output element.
        sources: Vec<u32>,
    },
    /// `I_outer ⊗ W ⊗ I_inner`: a dense matrix applied along one axis.
    Dense {
        /// Product of the axes before the contracted one.
        outer: usize,
        /// Rows of `W`.
        rows: usize,
        /// Columns of `W`.
        cols: usize,
        /// Product of the axes after the contracted one.
        inner: usize,
        /// `W`, row-major.
        weights: Vec<f32>,
    },
    /// A convolution, see [`Conv`].
    Conv(Conv),
    /// Compressed sparse rows.
    Sparse {
        /// Length of `x`.
        cols: usize,
        /// `rows + 1` offsets into the two lists.
        offsets: Vec<u32>,
        /// Column of each entry.
        indices: Vec<u32>,
        /// Value of each entry.
        values: Vec<f32>,
    },
    /// `factors[0] · factors[1] · …`: the last factor is applied first.
    Product(#[serde(deserialize_with = "factors")] Vec<Matrix>),
}

/// Reads the factors of a product, none of which may be a product again: a decoder that recursed
/// as deep as a stranger's file says would exhaust the stack.
fn factors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Matrix>, D::Error> {
    thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });
    if INSIDE.replace(true) {
        return Err(D::Error::custom("a product within a product"));
    }
    let factors = Vec::deserialize(deserializer);
    INSIDE.set(false);
    factors
}

/// A cross-correlation over one or more spatial axes, ONNX `Conv` without its bias.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Output channels.
    pub out_channels: usize,
    /// Input channels.
    pub in_channels: usize,
    /// Channel groups.
    pub groups: usize,
    /// Geometry of each spatial axis, outermost first.
    pub axes: Vec<ConvAxis>,
    /// `[out_channels, in_channels / groups, kernel…]`, row-major.
    pub weights: Vec<f32>,
}

/// Geometry of a convolution along one spatial axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvAxis {
    /// Input extent.
    pub input: usize,
    /// Output extent.
    pub output: usize,
    /// Kernel extent.
    pub kernel: usize,
    /// Step between output positions.
    pub stride: usize,
    /// Step between kernel taps.
    pub dilation: usize,
    /// Zeros before the first input element.
    pub pad: usize,
}

/// Number of entries up to which a row of a product is collected before entries of equal columns are merged. The
/// bound is four times the number of columns if that is more. Without merging a row would have one entry for each
/// path through all factors.
const MOST_UNMERGED: usize = 1 << 16;

/// Largest number of kernel taps along one axis of a convolution, summed over all outputs, because finding its
/// rotations visits each.
const MAX_TAPS: usize = 1 << 26;

/// A non-zero of a row: column and value.
pub type Entry = (u32, f64);

impl Matrix {
    /// The source of a [`Matrix::Gather`] element that is zero.
    pub const ZERO: u32 = u32::MAX;

    /// The identity on `len` elements.
    pub fn identity(len: usize) -> Self {
        Self::Scalar { len, value: 1.0 }
    }

    /// Number of output elements.
    pub fn rows(&self) -> usize {
        match self {
            Self::Scalar { len, .. } => *len,
            Self::Diagonal(values) => values.len(),
            Self::Gather { sources, .. } => sources.len(),
            Self::Dense { outer, rows, inner, .. } => outer * rows * inner,
            Self::Conv(conv) => {
                conv.out_channels * conv.axes.iter().map(|a| a.output).product::<usize>()
            }
            Self::Sparse { offsets, .. } => offsets.len() - 1,
            Self::Product(factors) => factors[0].rows(),
        }
    }

    /// Number of input elements.
    pub fn cols(&self) -> usize {
        match self {
            Self::Scalar { len, .. } => *len,
            Self::Diagonal(values) => values.len(),
            Self::Gather { cols, .. } | Self::Sparse { cols, .. } => *cols,
            Self::Dense { outer, cols, inner, .. } => outer * cols * inner,
            Self::Conv(conv) => {
                conv.in_channels * conv.axes.iter().map(|a| a.input).product::<usize>()
            }
            Self::Product(factors) => factors[factors.len() - 1].cols(),
        }
    }

    /// Replaces the content of `entries` by the structural non-zeros of row `row`, each column at
    /// most once.
    pub fn row(&self, row: usize, entries: &mut Vec<Entry>) {
        entries.clear();
        match self {
            Self::Scalar { value, .. } => entries.push((row as u32, f64::from(*value))),
            Self::Diagonal(values) => entries.push((row as u32, f64::from(values[row]))),
            Self::Gather { sources, .. } => {
                if sources[row] != Self::ZERO {
                    entries.push((sources[row], 1.0));
                }
            }
            Self::Dense { rows, cols, inner, weights, .. } => {
                let (outer, r, i) = (row / (rows * inner), row / inner % rows, row % inner);
                for (c, &w) in weights[r * cols..][..*cols].iter().enumerate() {
                    if w != 0.0 {
                        entries.push((((outer * cols + c) * inner + i) as u32, f64::from(w)));
                    }
                }
            }
            Self::Conv(conv) => conv.row(row, entries),
            Self::Sparse { offsets, indices, values, .. } => {
                for k in offsets[row] as usize..offsets[row + 1] as usize {
                    entries.push((indices[k], f64::from(values[k])));
                }
            }
            Self::Product(factors) => {
                factors[0].row(row, entries);
                let mut inner = Vec::new();
                for factor in &factors[1..] {
                    let outer = std::mem::take(entries);
                    for (column, weight) in outer {
                        factor.row(column as usize, &mut inner);
                        entries.extend(inner.iter().map(|&(c, w)| (c, weight * w)));
                        // Sums come in the same order, however often they are formed.
                        if entries.len() > MOST_UNMERGED.max(4 * factor.cols()) {
                            merge_columns(entries);
                        }
                    }
                    merge_columns(entries);
                }
            }
        }
    }

    /// `self · other`: `other` is applied first. Products are flattened and identities dropped.
    pub fn compose(self, other: Self) -> Self {
        if matches!(self, Self::Scalar { value: 1.0, .. }) {
            return other;
        }
        if matches!(other, Self::Scalar { value: 1.0, .. }) {
            return self;
        }
        let factors = |m| match m {
            Self::Product(factors) => factors,
            m => vec![m],
        };
        Self::Product([factors(self), factors(other)].concat())
    }

    /// The same linear map as [`Matrix::Sparse`], with every structural non-zero as an entry.
    pub fn to_sparse(&self) -> Self {
        let (mut offsets, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut entries = Vec::new();
        for row in 0..self.rows() {
            self.row(row, &mut entries);
            indices.extend(entries.iter().map(|&(column, _)| column));
            values.extend(entries.iter().map(|&(_, value)| value as f32));
            offsets.push(indices.len() as u32);
        }
        Self::Sparse { cols: self.cols(), offsets, indices, values }
    }

    /// True if every stored constant is finite.
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Scalar { value, .. } => value.is_finite(),
            Self::Gather { .. } => true,
            Self::Diagonal(values)
            | Self::Dense { weights: values, .. }
            | Self::Conv(Conv { weights: values, .. })
            | Self::Sparse { values, .. } => values.iter().all(|v| v.is_finite()),
            Self::Product(factors) => factors.iter().all(Self::is_finite),
        }
    }

    /// Checks that the matrix is well formed: extents are not zero and small enough to index, buffers have the lengths
    /// that follow, indices are in range, groups divide channels, sparse offsets ascend from 0, and the factors of a
    /// product, at least two and none a product itself, fit each other. That constants are finite is
    /// [`Self::is_finite`].
    ///
    /// # Errors
    /// [`MatrixError`], with the first fault found.
    pub fn verify(&self) -> Result<(), MatrixError> {
        let expect = |what, expected: Option<usize>, found: usize| match expected {
            Some(expected) if expected == found => Ok(()),
            expected => Err(MatrixError::Length { what, expected, found }),
        };
        let in_range = |indices: &[u32], cols: usize, zero_allowed: bool| {
            let bad = |&&i: &&u32| i as usize >= cols && !(zero_allowed && i == Self::ZERO);
            match indices.iter().find(bad) {
                Some(&index) => Err(MatrixError::Index { index, cols }),
                None => Ok(()),
            }
        };
        let small = |extents: &[usize]| {
            let product = extents.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
            match product {
                Some(n) if n > 0 && n < u32::MAX as usize => Ok(()),
                _ => Err(MatrixError::Extent { extents: extents.to_vec() }),
            }
        };
        match self {
            Self::Scalar { len, .. } => small(&[*len]),
            Self::Diagonal(values) => small(&[values.len()]),
            Self::Gather { cols, sources } => {
                small(&[*cols])?;
                small(&[sources.len()])?;
                in_range(sources, *cols, true)
            }
            Self::Dense { outer, rows, cols, inner, weights } => {
                small(&[*outer, *rows, *inner])?;
                small(&[*outer, *cols, *inner])?;
                expect("dense weights", rows.checked_mul(*cols), weights.len())
            }
            Self::Conv(conv) => {
                let extents = |first: usize, f: fn(&ConvAxis) -> usize| {
                    std::iter::once(first).chain(conv.axes.iter().map(f)).collect::<Vec<_>>()
                };
                small(&extents(conv.in_channels, |a| a.input))?;
                small(&extents(conv.out_channels, |a| a.output))?;
                small(&extents(1, |a| a.stride))?;
                small(&extents(1, |a| a.dilation))?;
                small(&extents(1, |a| a.pad.saturating_add(1)))?;
                if conv.groups == 0
                    || conv.in_channels % conv.groups != 0
                    || conv.out_channels % conv.groups != 0
                {
                    return Err(MatrixError::Groups {
                        groups: conv.groups,
                        in_channels: conv.in_channels,
                        out_channels: conv.out_channels,
                    });
                }
                for axis in &conv.axes {
                    let taps = axis.output.checked_mul(axis.kernel);
                    if taps.is_none_or(|taps| taps > MAX_TAPS) {
                        let extents = vec![axis.output, axis.kernel];
                        return Err(MatrixError::Extent { extents });
                    }
                }
                let kernel = extents(conv.in_channels / conv.groups, |a| a.kernel);
                small(&kernel)?;
                let count = kernel.iter().product::<usize>().checked_mul(conv.out_channels);
                expect("convolution weights", count, conv.weights.len())
            }
            Self::Sparse { cols, offsets, indices, values } => {
                small(&[*cols])?;
                small(&[offsets.len().saturating_sub(1)])?;
                expect("sparse values", Some(indices.len()), values.len())?;
                expect("sparse offsets", offsets.last().map(|&o| o as usize), indices.len())?;
                if offsets[0] != 0 || !offsets.is_sorted() {
                    return Err(MatrixError::Offsets);
                }
                in_range(indices, *cols, false)
            }
            Self::Product(factors) => {
                if factors.len() < 2 {
                    return Err(MatrixError::Product { factors: factors.len() });
                }
                for factor in factors {
                    if matches!(factor, Self::Product(_)) {
                        return Err(MatrixError::Product { factors: factors.len() });
                    }
                    factor.verify()?;
                }
                for pair in factors.windows(2) {
                    expect("product", Some(pair[0].cols()), pair[1].rows())?;
                }
                Ok(())
            }
        }
    }
}

/// Sorts entries by column and adds up those of one column, in the order in which they came.
pub fn merge_columns(entries: &mut Vec<Entry>) {
    entries.sort_by_key(|&(column, _)| column);
    entries.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
}

impl Conv {
    fn row(&self, row: usize, entries: &mut Vec<Entry>) {
        let out_area: usize = self.axes.iter().map(|a| a.output).product();
        let in_area: usize = self.axes.iter().map(|a| a.input).product();
        let taps: usize = self.axes.iter().map(|a| a.kernel).product();
        let (channel, position) = (row / out_area, row % out_area);
        let group_in = self.in_channels / self.groups;
        let first_in = channel / (self.out_channels / self.groups) * group_in;
        for tap in 0..taps {
            // Mixed-radix walk over the axes, innermost first.
            let (mut t, mut p, mut offset, mut size, mut inside) = (tap, position, 0usize, 1, true);
            for axis in self.axes.iter().rev() {
                let padded = p % axis.output * axis.stride + t % axis.kernel * axis.dilation;
                inside &= padded >= axis.pad && padded - axis.pad < axis.input;
                // Wraps only outside, where it is not used.
                offset = padded.wrapping_sub(axis.pad).wrapping_mul(size).wrapping_add(offset);
                size *= axis.input;
                p /= axis.output;
                t /= axis.kernel;
            }
            if !inside {
                continue;
            }
            for c in 0..group_in {
                let weight = self.weights[(channel * group_in + c) * taps + tap];
                entries.push((((first_in + c) * in_area + offset) as u32, f64::from(weight)));
            }
        }
    }
}

fn counted(expected: Option<usize>) -> String {
    match expected {
        Some(expected) => format!("{expected} elements"),
        None => "more elements than can be counted".into(),
    }
}

/// Reason why a [`Matrix`] is not well formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// A buffer's length does not follow from the geometry.
    #[error("{what}: expected {}, found {found}", counted(*expected))]
    Length {
        /// Name of the buffer.
        what: &'static str,
        /// Length by the geometry; none if it overflows.
        expected: Option<usize>,
        /// Length found.
        found: usize,
    },
    /// An index points outside the input.
    #[error("index {index} is outside the {cols} columns")]
    Index {
        /// The index.
        index: u32,
        /// Number of columns.
        cols: usize,
    },
    /// A zero extent, or a product of extents too large to index.
    #[error("extents {extents:?} are empty or too large")]
    Extent {
        /// The extents.
        extents: Vec<usize>,
    },
    /// Channels are not divisible by the groups.
    #[error("{groups} groups do not divide {in_channels} input and {out_channels} output channels")]
    Groups {
        /// Number of groups.
        groups: usize,
        /// Input channels.
        in_channels: usize,
        /// Output channels.
        out_channels: usize,
    },
    /// Sparse row offsets do not ascend from zero.
    #[error("sparse row offsets do not ascend from zero")]
    Offsets,
    /// A product is nested or has fewer than two factors.
    #[error("a product of {factors} factors, or a nested one")]
    Product {
        /// Number of factors.
        factors: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(m: &Matrix) -> Vec<Vec<f64>> {
        let mut entries = Vec::new();
        (0..m.rows())
            .map(|r| {
                m.row(r, &mut entries);
                let mut row = vec![0.0; m.cols()];
                for &(c, w) in &entries {
                    row[c as usize] += w;
                }
                row
            })
            .collect()
    }

    fn multiply(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let column = |r: &[f64], j: usize| r.iter().zip(b).map(|(x, row)| x * row[j]).sum();
        a.iter().map(|r| (0..b[0].len()).map(|j| column(r, j)).collect()).collect()
    }

    #[test]
    fn convolution_rows_match_direct_loops() {
        let axis = |input, kernel, stride, dilation, pad: usize, output| ConvAxis {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
        };
        let conv = Conv {
            out_channels: 4,
            in_channels: 2,
            groups: 2,
            axes: vec![axis(5, 3, 2, 1, 1, 3), axis(6, 2, 1, 2, 1, 6)],
            weights: (0..4 * 6).map(|i| i as f32 - 7.5).collect(),
        };
        let m = Matrix::Conv(conv.clone());
        m.verify().unwrap();
        let d = dense(&m);
        for (o, y, x) in indices3(4, 3, 6) {
            let mut expected = vec![0.0; m.cols()];
            for (ky, kx) in (0..3).flat_map(|a| (0..2).map(move |b| (a, b))) {
                let (iy, ix) = ((y * 2 + ky) as i32 - 1, (x + kx * 2) as i32 - 1);
                if (0..5).contains(&iy) && (0..6).contains(&ix) {
                    let c = o / 2;
                    expected[c * 30 + iy as usize * 6 + ix as usize] =
                        f64::from(conv.weights[o * 6 + ky * 2 + kx]);
                }
            }
            assert_eq!(d[(o * 3 + y) * 6 + x], expected);
        }
    }

    fn indices3(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..a * b * c).map(move |i| (i / (b * c), i / c % b, i % c))
    }

    #[test]
    fn products_multiply_and_merge_columns() {
        let a = Matrix::Dense {
            outer: 2,
            rows: 2,
            cols: 3,
            inner: 2,
            weights: vec![1., 2., 0., -1., 3., 4.],
        };
        let b = Matrix::Gather {
            cols: 5,
            sources: vec![0, 0, 1, Matrix::ZERO, 4, 4, 3, 3, 2, 1, 0, 2],
        };
        let c = Matrix::Diagonal(vec![2.0, -1.0, 0.5, 3.0, 1.0]);
        let expected = multiply(&multiply(&dense(&a), &dense(&b)), &dense(&c));
        let product = a.compose(b).compose(c);
        product.verify().unwrap();
        assert_eq!(dense(&product), expected);
    }

    #[test]
    fn malformed_matrices_are_refused() {
        let gather = Matrix::Gather { cols: 3, sources: vec![0, 3] };
        assert_eq!(gather.verify(), Err(MatrixError::Index { index: 3, cols: 3 }));
        let sparse =
            Matrix::Sparse { cols: 2, offsets: vec![0, 2, 1], indices: vec![0], values: vec![1.0] };
        assert_eq!(sparse.verify(), Err(MatrixError::Offsets));
        let huge =
            Matrix::Dense { outer: usize::MAX, rows: 2, cols: 1, inner: 1, weights: vec![1.0; 2] };
        assert!(matches!(huge.verify(), Err(MatrixError::Extent { .. })));
    }
}
