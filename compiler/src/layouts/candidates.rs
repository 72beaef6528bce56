//! Layouts worth trying for a tensor of a given shape.

use std::collections::{BTreeSet, HashSet};

use pic_ir::layout::{Digit, Layout};

/// Layouts of a tensor in as few ciphertexts as possible, the contiguous one first, each also with
/// the longer ones of some periods: that can save folds or diagonals.
pub(super) fn candidates(shape: &[usize], periods: &BTreeSet<u32>, log_slots: u32) -> Vec<Layout> {
    let fewest = shape.iter().product::<usize>().div_ceil(1 << log_slots);
    let mut known = HashSet::new();
    let mut layouts = shape_layouts(shape);
    layouts.retain(|l| l.ciphertexts(log_slots) <= fewest && known.insert(l.positions()));
    let mut longer = Vec::new();
    for layout in &layouts {
        let periods = periods.iter().filter(|&&p| layout.log_period < p && p <= log_slots);
        longer.extend(periods.map(|&log_period| Layout { log_period, ..layout.clone() }));
    }
    layouts.extend(longer);
    layouts
}

/// Layouts of a tensor by its shape, without regard to its neighbours.
fn shape_layouts(shape: &[usize]) -> Vec<Layout> {
    let len: usize = shape.iter().product();
    let (channels, height, width) = match *shape {
        [c, h, w] => (c, h, w),
        [c, w] => (c, 1, w),
        _ => {
            let strides = (0..12).map(|k| 1usize << k);
            let strided =
                |stride| Layout::new(len, vec![Digit { divisor: 1, modulus: len, stride }]);
            return strides.map(strided).collect();
        }
    };
    let mut layouts = vec![Layout::contiguous(len)];
    // Channels innermost.
    let area = height * width;
    let inner = channels.next_power_of_two();
    layouts.push(Layout::new(
        len,
        vec![
            Digit { divisor: 1, modulus: area, stride: inner },
            Digit { divisor: area, modulus: channels, stride: 1 },
        ],
    ));
    for gap in [1, 2, 4, 8] {
        let (gap_y, gap_x) = (if height > 1 { gap } else { 1 }, gap);
        for pitch in [width * gap_x, (width * gap_x).next_power_of_two()] {
            let plane = pitch * height * gap_y;
            for plane in [plane, plane.next_power_of_two()] {
                for (in_row, in_column) in fills(gap_x, gap_y, channels) {
                    let outside = channels.div_ceil(in_row * in_column);
                    let digit = |divisor, modulus, stride| Digit { divisor, modulus, stride };
                    let mut digits = vec![
                        digit(1, width, gap_x),
                        digit(width, height, pitch * gap_y),
                        digit(area, outside, plane),
                        digit(area * outside, in_row, 1),
                        digit(area * outside * in_row, in_column, pitch),
                    ];
                    digits.retain(|d| d.modulus > 1);
                    layouts.push(Layout::new(len, digits));
                }
            }
        }
    }
    layouts
}

/// Numbers of channels that may lie between neighbours of a row, and between those of a column. They may be fewer
/// than there is room for: the channels on top wrap at the period, which halves the differences between them. The
/// gaps hold the highest channels: a shortcut that shifts channels by part of their number then moves most of them
/// alike.
fn fills(gap_x: usize, gap_y: usize, channels: usize) -> impl Iterator<Item = (usize, usize)> {
    let powers = |gap: usize| (0..=gap.ilog2()).map(|k| 1 << k);
    powers(gap_x)
        .flat_map(move |x| powers(gap_y).map(move |y| (x, y)))
        .filter(move |(x, y)| x * y < 2 * channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_valid_and_distinct() {
        for shape in [&[3, 5, 6][..], &[16, 8, 8], &[1, 4, 4], &[5, 7], &[10], &[2, 3, 4, 5]] {
            for log_slots in [5, 9, 13] {
                let layouts = candidates(shape, &[3, 10, 12].into(), log_slots);
                let len = shape.iter().product();
                assert_eq!(layouts[0], Layout::contiguous(len));
                let mut known = HashSet::new();
                for layout in layouts {
                    layout.verify().unwrap();
                    assert_eq!(layout.ciphertexts(log_slots), len.div_ceil(1 << log_slots));
                    assert!(known.insert((layout.positions(), layout.log_period)));
                }
            }
        }
    }
}
