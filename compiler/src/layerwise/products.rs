//! Products of the columns of a matrix, equal to the last bit on every processor.
//!
//! General libraries choose the order of sums, and whether a product is rounded before it is added, by what the
//! processor can do. Here each sum is taken from the first row to the last and every product rounded; the processor
//! decides only how many sums are taken side by side.

use multiversion::multiversion;
use nalgebra::DMatrix;

/// Number of columns that are stored and multiplied side by side.
const PANEL: usize = 32;

/// Number of rows of the result whose sums are kept in registers together with those of a panel.
const ROWS: usize = 4;

/// Number of rows of the matrix that stay in the cache while all columns are multiplied.
const NEAR: usize = 256;

/// A matrix in panels of columns, each of which is stored row by row.
pub(super) struct Panels {
    columns: usize,
    panels: Vec<Vec<[f32; PANEL]>>,
}

impl Panels {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        let panels = vec![vec![[0.0; PANEL]; rows]; columns.div_ceil(PANEL)];
        Self { columns, panels }
    }

    /// Replaces a part of a column, from a row on.
    pub fn set(&mut self, row: usize, column: usize, values: &[f32]) {
        let rows = &mut self.panels[column / PANEL][row..][..values.len()];
        rows.iter_mut().zip(values).for_each(|(row, &value)| row[column % PANEL] = value);
    }

    /// `Xᵀ·A` of the matrix A, where X is its `first` first columns.
    pub fn products(&self, first: usize) -> DMatrix<f32> {
        let rows = self.panels[0].len();
        let panel = vec![[0.0; PANEL]; first.next_multiple_of(ROWS)];
        let mut sums = vec![panel; self.panels.len()];
        for near in (0..rows).step_by(NEAR).map(|k| k..rows.min(k + NEAR)) {
            for (k, (right, sums)) in self.panels.iter().zip(&mut sums).enumerate() {
                // What lies below the panels of the diagonal follows by symmetry.
                let used = first.min((k + 1) * PANEL).div_ceil(ROWS);
                let (blocks, _) = sums.as_chunks_mut::<ROWS>();
                for (k, sums) in blocks[..used].iter_mut().enumerate() {
                    let left = &self.panels[k * ROWS / PANEL];
                    add(sums, &left[near.clone()], k * ROWS % PANEL, &right[near.clone()]);
                }
            }
        }
        DMatrix::from_fn(first, self.columns, |row, column| {
            let (row, column) = (row.min(column), row.max(column));
            sums[column / PANEL][row][column % PANEL]
        })
    }
}

/// Adds the products of some columns of one panel, the `first` and those behind it, with all of another.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn add(
    sums: &mut [[f32; PANEL]; ROWS],
    left: &[[f32; PANEL]],
    first: usize,
    right: &[[f32; PANEL]],
) {
    let mut local = *sums;
    for (left, right) in left.iter().zip(right) {
        for row in 0..ROWS {
            for k in 0..PANEL {
                local[row][k] += left[first + row] * right[k];
            }
        }
    }
    *sums = local;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_networks::normal_samples;

    #[test]
    fn every_sum_is_taken_in_order() {
        for (rows, first, columns) in
            [(1, 1, 1), (7, 3, 5), (300, 33, 40), (600, 66, 66), (257, 31, 97)]
        {
            let matrix = normal_samples(columns, rows, 5);
            let mut panels = Panels::zeros(rows, columns);
            for (column, values) in matrix.iter().enumerate() {
                let (above, below) = values.split_at(rows / 3);
                panels.set(0, column, above);
                panels.set(rows / 3, column, below);
            }
            let found = panels.products(first);
            assert_eq!(found.shape(), (first, columns));
            for (row, a) in matrix[..first].iter().enumerate() {
                for (column, b) in matrix.iter().enumerate() {
                    let expected = a.iter().zip(b).fold(0.0f32, |sum, (a, b)| sum + a * b);
                    assert_eq!(found[(row, column)].to_bits(), expected.to_bits());
                }
            }
        }
    }
}
