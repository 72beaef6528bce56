//! Products and sums of matrices in their simplest form.
//!
//! Structure is kept where it survives (a convolution scaled per channel is a convolution);
//! otherwise small results are written out, and large ones stay products of their factors.

use pic_ir::matrix::{Conv, Entry, Matrix, merge_columns};

/// Number of entries that may always be written out, in addition to as many as the factors store.
const SMALL: usize = 1 << 16;
/// Largest number of multiplications for one product.
const WORK: usize = 1 << 30;

/// `a · b`: `b` is applied first.
pub(super) fn multiply(a: Matrix, b: Matrix) -> Matrix {
    let factors = |m| match m {
        Matrix::Product(factors) => factors,
        m => vec![m],
    };
    let mut reduced: Vec<Matrix> = Vec::new();
    for factor in [factors(a), factors(b)].concat() {
        reduced.push(factor);
        while let [.., a, b] = &reduced[..]
            && let Some(product) = pair(a, b)
        {
            reduced.truncate(reduced.len() - 2);
            reduced.push(product);
        }
    }
    let product = reduced.into_iter().reduce(Matrix::compose).expect("at least two factors");
    match &product {
        Matrix::Product(factors) => {
            let limit = factors.iter().map(stored).sum::<usize>() + SMALL;
            written_out(&[&product], limit).unwrap_or(product)
        }
        _ => product,
    }
}

/// `a + b` as one matrix; none if it would be much larger than both, or not finite.
pub(super) fn add(a: &Matrix, b: &Matrix) -> Option<Matrix> {
    structured_sum(a, b)
        .or_else(|| written_out(&[a, b], stored(a) + stored(b) + SMALL))
        .filter(Matrix::is_finite)
}

fn structured_sum(a: &Matrix, b: &Matrix) -> Option<Matrix> {
    let sum = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
    match (a, b) {
        (Matrix::Scalar { len, value: a }, Matrix::Scalar { value: b, .. }) => {
            Some(Matrix::Scalar { len: *len, value: a + b })
        }
        (Matrix::Diagonal(a), Matrix::Diagonal(b)) => Some(Matrix::Diagonal(sum(a, b))),
        (Matrix::Diagonal(d), Matrix::Scalar { value, .. })
        | (Matrix::Scalar { value, .. }, Matrix::Diagonal(d)) => {
            Some(Matrix::Diagonal(d.iter().map(|d| d + value).collect()))
        }
        (
            Matrix::Dense { outer, rows, cols, inner, weights },
            Matrix::Dense { outer: o, rows: r, cols: c, inner: i, weights: w },
        ) if (outer, rows, cols, inner) == (o, r, c, i) => Some(Matrix::Dense {
            outer: *outer,
            rows: *rows,
            cols: *cols,
            inner: *inner,
            weights: sum(weights, w),
        }),
        (Matrix::Conv(a), Matrix::Conv(b))
            if (a.out_channels, a.in_channels, a.groups, &a.axes)
                == (b.out_channels, b.in_channels, b.groups, &b.axes) =>
        {
            Some(Matrix::Conv(Conv { weights: sum(&a.weights, &b.weights), ..a.clone() }))
        }
        _ => None,
    }
}

/// Upper bound on the number of non-zeros of a row, and on the cost of generating one.
pub(super) fn longest_row(m: &Matrix) -> usize {
    match m {
        Matrix::Scalar { .. } | Matrix::Diagonal(_) | Matrix::Gather { .. } => 1,
        Matrix::Dense { cols, .. } => *cols,
        Matrix::Conv(conv) => conv.weights.len() / conv.out_channels,
        Matrix::Sparse { offsets, .. } => {
            offsets.windows(2).map(|o| (o[1] - o[0]) as usize).max().unwrap_or(0)
        }
        Matrix::Product(factors) => {
            factors.iter().map(longest_row).fold(1, |n, l| n.saturating_mul(l))
        }
    }
}

/// Number of structural non-zeros; none if it exceeds `limit` or takes much work to find.
pub(super) fn non_zeros(m: &Matrix, limit: usize) -> Option<usize> {
    if m.rows().saturating_mul(longest_row(m)) > WORK {
        return None;
    }
    let mut entries = Vec::new();
    (0..m.rows()).try_fold(0, |count, r| {
        m.row(r, &mut entries);
        Some(count + entries.len()).filter(|&count| count <= limit)
    })
}

/// Number of constants that a matrix stores.
fn stored(m: &Matrix) -> usize {
    match m {
        Matrix::Scalar { .. } => 1,
        Matrix::Diagonal(values) | Matrix::Dense { weights: values, .. } => values.len(),
        Matrix::Gather { sources, .. } => sources.len(),
        Matrix::Conv(conv) => conv.weights.len(),
        Matrix::Sparse { values, .. } => values.len(),
        Matrix::Product(factors) => factors.iter().map(stored).sum(),
    }
}

/// The sum of `terms`, entry by entry; none if it has more than `limit` entries or takes much work.
fn written_out(terms: &[&Matrix], limit: usize) -> Option<Matrix> {
    let (rows, cols) = (terms[0].rows(), terms[0].cols());
    if terms.iter().any(|term| rows.saturating_mul(longest_row(term)) > WORK) {
        return None;
    }
    let (mut offsets, mut indices, mut values) = (vec![0u32], Vec::new(), Vec::new());
    let (mut entries, mut row): (Vec<Entry>, Vec<Entry>) = (Vec::new(), Vec::new());
    for r in 0..rows {
        row.clear();
        for term in terms {
            term.row(r, &mut entries);
            row.append(&mut entries);
        }
        merge_columns(&mut row);
        if indices.len() + row.len() > limit {
            return None;
        }
        indices.extend(row.iter().map(|&(c, _)| c));
        values.extend(row.iter().map(|&(_, v)| v as f32));
        offsets.push(indices.len() as u32);
    }
    let dense = rows.checked_mul(cols).is_some_and(|area| 2 * indices.len() > area);
    if !dense {
        return Some(Matrix::Sparse { cols, offsets, indices, values });
    }
    let mut weights = vec![0.0; rows * cols];
    for r in 0..rows {
        for k in offsets[r] as usize..offsets[r + 1] as usize {
            weights[r * cols + indices[k] as usize] = values[k];
        }
    }
    Some(Matrix::Dense { outer: 1, rows, cols, inner: 1, weights })
}

/// `a · b` as one structured matrix; none if it is not.
fn pair(a: &Matrix, b: &Matrix) -> Option<Matrix> {
    match (a, b) {
        (Matrix::Scalar { value, .. }, m) | (m, Matrix::Scalar { value, .. }) => scaled(m, *value),
        (Matrix::Diagonal(d), Matrix::Diagonal(e)) => Some(Matrix::Diagonal(product(d, e))),
        (Matrix::Gather { sources, .. }, Matrix::Gather { cols, sources: inner }) => {
            let through = |&s: &u32| if s == Matrix::ZERO { s } else { inner[s as usize] };
            let sources: Vec<u32> = sources.iter().map(through).collect();
            Some(match sources.iter().copied().eq(0..*cols as u32) {
                true => Matrix::identity(*cols),
                false => Matrix::Gather { cols: *cols, sources },
            })
        }
        (Matrix::Diagonal(d), Matrix::Conv(conv)) => {
            let by_channel = uniform_blocks(d, conv.out_channels)?;
            let taps = conv.weights.len() / conv.out_channels;
            let scale = |k: usize| by_channel[k / taps];
            Some(Matrix::Conv(Conv { weights: scaled_by(&conv.weights, scale), ..conv.clone() }))
        }
        // A zero of the padding stays zero, so scaling the weights is the same.
        (Matrix::Conv(conv), Matrix::Diagonal(d)) => {
            let by_channel = uniform_blocks(d, conv.in_channels)?;
            let group_in = conv.in_channels / conv.groups;
            let group_out = conv.out_channels / conv.groups;
            let taps = conv.axes.iter().map(|a| a.kernel).product::<usize>();
            let scale = |k: usize| {
                let (out, within) = (k / taps / group_in, k / taps % group_in);
                by_channel[out / group_out * group_in + within]
            };
            Some(Matrix::Conv(Conv { weights: scaled_by(&conv.weights, scale), ..conv.clone() }))
        }
        (Matrix::Diagonal(d), Matrix::Dense { outer, rows, cols, inner, weights }) => {
            let by_row = uniform_axis(d, *rows, *inner)?;
            let weights = scaled_by(weights, |k| by_row[k / cols]);
            Some(Matrix::Dense { outer: *outer, rows: *rows, cols: *cols, inner: *inner, weights })
        }
        (Matrix::Dense { outer, rows, cols, inner, weights }, Matrix::Diagonal(d)) => {
            let by_column = uniform_axis(d, *cols, *inner)?;
            let weights = scaled_by(weights, |k| by_column[k % cols]);
            Some(Matrix::Dense { outer: *outer, rows: *rows, cols: *cols, inner: *inner, weights })
        }
        (
            Matrix::Dense { outer, rows, cols: middle, inner, weights: a },
            Matrix::Dense { outer: o, cols, inner: i, weights: b, .. },
        ) if (outer, inner) == (o, i) && rows * middle * cols <= WORK => {
            let mut weights = Vec::with_capacity(rows * cols);
            for row in a.chunks_exact(*middle) {
                let mut sums = vec![0f64; *cols];
                for (&x, other) in row.iter().zip(b.chunks_exact(*cols)) {
                    for (sum, &y) in sums.iter_mut().zip(other) {
                        *sum += f64::from(x) * f64::from(y);
                    }
                }
                weights.extend(sums.into_iter().map(|s| s as f32));
            }
            Some(Matrix::Dense { outer: *outer, rows: *rows, cols: *cols, inner: *inner, weights })
        }
        _ => None,
    }
}

fn scaled(m: &Matrix, factor: f32) -> Option<Matrix> {
    let by = |values: &[f32]| values.iter().map(|v| v * factor).collect::<Vec<_>>();
    match m {
        m if factor == 1.0 => Some(m.clone()),
        Matrix::Scalar { len, value } => Some(Matrix::Scalar { len: *len, value: value * factor }),
        Matrix::Diagonal(d) => Some(Matrix::Diagonal(by(d))),
        Matrix::Dense { outer, rows, cols, inner, weights } => Some(Matrix::Dense {
            outer: *outer,
            rows: *rows,
            cols: *cols,
            inner: *inner,
            weights: by(weights),
        }),
        Matrix::Conv(conv) => {
            Some(Matrix::Conv(Conv { weights: by(&conv.weights), ..conv.clone() }))
        }
        Matrix::Sparse { cols, offsets, indices, values } => Some(Matrix::Sparse {
            cols: *cols,
            offsets: offsets.clone(),
            indices: indices.clone(),
            values: by(values),
        }),
        Matrix::Gather { .. } | Matrix::Product(_) => None,
    }
}

fn product(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

fn scaled_by(weights: &[f32], scale: impl Fn(usize) -> f32) -> Vec<f32> {
    weights.iter().enumerate().map(|(k, w)| w * scale(k)).collect()
}

/// Value of each of `count` equal blocks; none if some block has several values.
fn uniform_blocks(values: &[f32], count: usize) -> Option<Vec<f32>> {
    uniform_axis(values, count, values.len() / count)
}

/// Values laid out as `[.., extent, inner]` that depend on the axis `extent` only.
fn uniform_axis(values: &[f32], extent: usize, inner: usize) -> Option<Vec<f32>> {
    let along: Vec<f32> = (0..extent).map(|k| values[k * inner]).collect();
    let agrees = |(k, v): (usize, &f32)| *v == along[k / inner % extent];
    values.iter().enumerate().all(agrees).then_some(along)
}
