//! Layouts worth trying for a tensor of a given shape.

use std::collections::BTreeSet;

use pic_ir::layout::{Digit, Layout};

/// Layouts of a tensor in as few ciphertexts as possible, the contiguous one first, each also with
/// the longer ones of some periods: that can save folds or diagonals.
pub(super) fn candidates(shape: &[usize], periods: &BTreeSet<u32>, log_slots: u32) -> Vec<Layout> {
    let fewest = shape.iter().product::<usize>().div_ceil(1 << log_slots);
    let mut layouts: Vec<Layout> = Vec::new();
    for layout in shape_layouts(shape) {
        if layout.ciphertexts(log_slots) <= fewest && !layouts.contains(&layout) {
            layouts.push(layout);
        }
    }
    let longer = |l: &Layout| {
        let l = l.clone();
        let periods = periods.range(l.log_period + 1..=log_slots.max(l.log_period + 1)).copied();
        periods.map(move |log_period| Layout { log_period, ..l.clone() }).collect::<Vec<_>>()
    };
    let longer: Vec<Layout> = layouts.iter().flat_map(longer).collect();
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
                    layouts.push(Layout::new(
                        len,
                        vec![
                            Digit { divisor: 1, modulus: width, stride: gap_x },
                            Digit { divisor: width, modulus: height, stride: pitch * gap_y },
                            Digit { divisor: area, modulus: outside, stride: plane },
                            Digit { divisor: area * outside, modulus: in_row, stride: 1 },
                            Digit {
                                divisor: area * outside * in_row,
                                modulus: in_column,
                                stride: pitch,
                            },
                        ],
                    ));
                }
            }
        }
    }
    layouts
}

/// How many channels may lie between neighbours of a row, and how many between those of a column.
/// Fewer than there is room for: the others, on top, wrap at the period, which makes their
/// differences fewer. The channels in gaps are the highest ones: a shortcut that shifts channels by part of
/// their number then moves most of them alike.
fn fills(gap_x: usize, gap_y: usize, channels: usize) -> impl Iterator<Item = (usize, usize)> {
    let powers = |gap: usize| (0..=gap.ilog2()).map(|k| 1 << k);
    powers(gap_x)
        .flat_map(move |x| powers(gap_y).map(move |y| (x, y)))
        .filter(move |(x, y)| x * y < 2 * channels)
}
