//! Matrices that apply one small matrix at many positions, multiplied by a batch.
//!
//! All outputs of a position read the same elements, so these are listed and gathered once and serve
//! [`OUTPUTS`] outputs at a time from registers. Terms are added in the order of
//! [`Matrix::row`], products and sums are rounded apart: what comes out is what the evaluation row by row
//! gives, to the last bit, and does not depend on the machine. Grouped convolutions are
//! not here: few outputs share an operand.

use multiversion::multiversion;
use pic_ir::matrix::{Conv, Matrix};
use rayon::prelude::*;

use super::LANES;

/// Number of outputs whose sums are kept in registers together.
const OUTPUTS: usize = 4;

/// An ungrouped convolution or a dense matrix along an axis.
#[derive(Clone, Debug)]
pub(crate) struct Repeated {
    /// Number of positions.
    pub count: usize,
    /// Rows of the small matrix.
    pub outputs: usize,
    /// Columns of the small matrix.
    pub features: usize,
    /// Distance between two outputs of a position in the result, in elements.
    inner: usize,
    /// Weights by block of outputs and feature; the last block is padded with zeros.
    weights: Vec<[f32; OUTPUTS]>,
    /// The matrix reduced to one output, with the feature's number, from one, as each weight: so that columns are
    /// found even where weights are zero.
    numbered: Matrix,
}

impl Repeated {
    /// The repeated form of a matrix; none for matrices of other kinds.
    pub(crate) fn of(matrix: &Matrix) -> Option<Self> {
        let numbers = |features: usize| (0..features).map(|k| (k + 1) as f32).collect();
        let (count, outputs, features, inner, weights, numbered) = match matrix {
            Matrix::Conv(conv) if conv.groups == 1 => {
                let count = conv.axes.iter().map(|a| a.output).product();
                let features = conv.weights.len() / conv.out_channels;
                let axes = conv.axes.clone();
                let weights = numbers(features);
                let numbered = Conv { out_channels: 1, weights, axes, ..*conv };
                let numbered = Matrix::Conv(numbered);
                (count, conv.out_channels, features, count, &conv.weights, numbered)
            }
            Matrix::Dense { outer, rows, cols, inner, weights } => {
                let (outer, cols, inner) = (*outer, *cols, *inner);
                let numbered =
                    Matrix::Dense { outer, rows: 1, cols, inner, weights: numbers(cols) };
                (outer * inner, *rows, cols, inner, weights, numbered)
            }
            _ => return None,
        };
        let mut blocks = vec![[0.0; OUTPUTS]; outputs.div_ceil(OUTPUTS) * features];
        for (index, &weight) in weights.iter().enumerate() {
            let (output, feature) = (index / features, index % features);
            blocks[output / OUTPUTS * features + feature][output % OUTPUTS] = weight;
        }
        Some(Self { count, outputs, features, inner, weights: blocks, numbered })
    }

    /// Element of the result for an output at a position.
    pub(crate) fn row(&self, position: usize, output: usize) -> usize {
        let (outer, inner) = (position / self.inner, position % self.inner);
        (outer * self.outputs + output) * self.inner + inner
    }

    /// Pairs of feature and element of the operand at a position, without those in the padding.
    pub(crate) fn columns(&self, position: usize) -> Vec<(usize, usize)> {
        let mut entries = vec![];
        self.numbered.row(position, &mut entries);
        entries.into_iter().map(|(column, k)| (k as usize - 1, column as usize)).collect()
    }

    /// Adds the product with `operand` to `sums`, one for each output of a position. `gathered` is
    /// memory to work in.
    pub(crate) fn add_at(
        &self,
        position: usize,
        operand: &[[f32; LANES]],
        gathered: &mut Vec<[f32; LANES]>,
        sums: &mut [[f32; LANES]],
    ) {
        let columns = self.columns(position);
        gathered.clear();
        // Far apart, often by powers of two, they would drive each other out of the cache.
        columns
            .iter()
            .for_each(|&(_, column)| gathered.extend_from_slice(&operand[column..=column]));
        let blocks = self.weights.chunks_exact(self.features);
        for (sums, weights) in sums.chunks_mut(OUTPUTS).zip(blocks) {
            let mut block = [[0.0; LANES]; OUTPUTS];
            block[..sums.len()].copy_from_slice(sums);
            accumulate(&mut block, weights, &columns, gathered);
            sums.copy_from_slice(&block[..sums.len()]);
        }
    }

    /// Adds the product with `operand` to `values`.
    pub(crate) fn add(&self, operand: &[[f32; LANES]], values: &mut [[f32; LANES]]) {
        let mut by_position = vec![[0.0; LANES]; values.len()];
        let positions = by_position.par_chunks_mut(self.outputs).enumerate();
        positions.for_each_init(Vec::new, |gathered, (position, sums)| {
            for (output, sum) in sums.iter_mut().enumerate() {
                sum.copy_from_slice(&values[self.row(position, output)]);
            }
            self.add_at(position, operand, gathered, sums);
        });
        values.par_iter_mut().enumerate().for_each(|(row, value)| {
            let (inner, output) = (row % self.inner, row / self.inner % self.outputs);
            let position = row / (self.inner * self.outputs) * self.inner + inner;
            value.copy_from_slice(&by_position[position * self.outputs + output]);
        });
    }
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn accumulate(
    sums: &mut [[f32; LANES]; OUTPUTS],
    weights: &[[f32; OUTPUTS]],
    columns: &[(usize, usize)],
    gathered: &[[f32; LANES]],
) {
    let mut local = *sums;
    for (&(feature, _), lanes) in columns.iter().zip(gathered) {
        let weights = &weights[feature];
        for output in 0..OUTPUTS {
            for k in 0..LANES {
                local[output][k] += weights[output] * lanes[k];
            }
        }
    }
    *sums = local;
}
