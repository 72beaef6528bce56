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
                let pixels = [
                    Digit { divisor: 1, modulus: width, stride: gap_x },
                    Digit { divisor: width, modulus: height, stride: pitch * gap_y },
                ];
                let gapped = [Digit { divisor: area, modulus: channels, stride: plane }];
                layouts.push(Layout::new(len, [&pixels[..], &gapped].concat()));
                let inside = gap_x * gap_y;
                let multiplexed = [
                    Digit { divisor: area, modulus: gap_x.min(channels), stride: 1 },
                    Digit {
                        divisor: area * gap_x,
                        modulus: gap_y.min(channels.div_ceil(gap_x)),
                        stride: pitch,
                    },
                    Digit {
                        divisor: area * inside,
                        modulus: channels.div_ceil(inside),
                        stride: plane,
                    },
                ];
                layouts.push(Layout::new(len, [&pixels[..], &multiplexed].concat()));
            }
        }
    }
    layouts
}
