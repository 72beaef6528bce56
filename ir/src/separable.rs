//! Rotations of a convolution, derived from its geometry without visiting its non-zeros.
//!
//! Where the channel and each coordinate of a pixel add to a position independently, as they do in
//! almost every layout, the differences of positions that a convolution joins are sums of one
//! difference of channels and one along each axis. There are few of those, while the non-zeros
//! number millions. Other layouts are left to the caller, which visits every non-zero.

use crate::layout::{Layout, split};
use crate::matrix::Conv;

/// Most differences that are listed; of more, visiting every non-zero takes less memory.
const MOST_DIFFERENCES: usize = 1 << 22;

/// Differences between output and input positions that a convolution joins: each is a member of `channels` plus a
/// member of `pixels`.
pub(crate) struct Differences {
    /// Output ciphertext, input ciphertext, and slot of the input less slot of the output.
    pub channels: Vec<(usize, usize, i64)>,
    /// Slots by which the input's pixel lies behind the output's.
    pub pixels: Vec<i64>,
}

/// The differences between slots of the input and of the output, or none if a layout is not
/// separable or cuts an image in two, or if there are too many differences.
pub(crate) fn differences(
    conv: &Conv,
    input: &Layout,
    output: &Layout,
    log_slots: u32,
) -> Option<Differences> {
    let inputs = Axes::new(input, conv.in_channels, conv.axes.iter().map(|a| a.input), log_slots)?;
    let outputs =
        Axes::new(output, conv.out_channels, conv.axes.iter().map(|a| a.output), log_slots)?;
    let (group_in, group_out) = (conv.in_channels / conv.groups, conv.out_channels / conv.groups);
    let mut channels = Vec::new();
    for (o, &to) in outputs.channels.iter().enumerate() {
        let (to, out_slot) = split(to as usize, log_slots);
        for &from in &inputs.channels[o / group_out * group_in..][..group_in] {
            let (from, in_slot) = split(from as usize, log_slots);
            channels.push((to, from, in_slot as i64 - out_slot as i64));
        }
        // Seldom, so that sorting does not take long: lists double in between.
        if channels.len() > MOST_DIFFERENCES {
            channels.sort_unstable();
            channels.dedup();
            if channels.len() > MOST_DIFFERENCES / 2 {
                return None;
            }
        }
    }
    channels.sort_unstable();
    channels.dedup();
    let mut pixels = vec![0];
    for (axis, (from, to)) in conv.axes.iter().zip(inputs.pixels.iter().zip(&outputs.pixels)) {
        let mut along = Vec::new();
        for (o, &to) in to.iter().enumerate() {
            for tap in 0..axis.kernel {
                let padded = o * axis.stride + tap * axis.dilation;
                let from = padded.checked_sub(axis.pad).and_then(|i| from.get(i));
                along.extend(from.map(|&from| i64::from(from) - i64::from(to)));
            }
        }
        along.sort_unstable();
        along.dedup();
        if pixels.len() * along.len() > MOST_DIFFERENCES {
            return None;
        }
        pixels = pixels.iter().flat_map(|p| along.iter().map(move |a| p + a)).collect();
        pixels.sort_unstable();
        pixels.dedup();
    }
    Some(Differences { channels, pixels })
}

/// A separable layout: a position is the sum of one entry of each list.
struct Axes {
    channels: Vec<u32>,
    pixels: Vec<Vec<u32>>,
}

impl Axes {
    fn new(
        layout: &Layout,
        channels: usize,
        extents: impl DoubleEndedIterator<Item = usize>,
        log_slots: u32,
    ) -> Option<Self> {
        let positions = layout.positions();
        let (mut sums, mut stride) = (vec![0], 1);
        let mut add = |extent: usize| {
            let part: Vec<u32> = positions.iter().copied().step_by(stride).take(extent).collect();
            sums = part.iter().flat_map(|p| sums.iter().map(move |s| p + s)).collect();
            stride *= extent;
            part
        };
        let mut pixels: Vec<Vec<u32>> = extents.rev().map(&mut add).collect();
        pixels.reverse();
        let channels = add(channels);
        let last: u32 = pixels.iter().filter_map(|part| part.iter().max()).sum();
        let is_whole = |&p: &u32| split(p as usize, log_slots).1 + (last as usize) < 1 << log_slots;
        (sums == positions && channels.iter().all(is_whole)).then_some(Self { channels, pixels })
    }
}
