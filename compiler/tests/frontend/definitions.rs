//! Operators whose matrices have a structure of their own, against their definitions written out in plain loops,
//! for random geometries.

use proptest::prelude::*;

use crate::evaluate;
use crate::model::{Model, int, ints, string};

/// A deterministic sequence in [−1, 1].
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|k| ((k * 37 + seed * 101 + 11) % 41) as f32 / 20.0 - 1.0).collect()
}

/// Agreement of sums of a few hundred products of numbers in [−1, 1].
fn agree(found: &[f32], expected: &[f64]) -> bool {
    let is_near = |(&a, &b): (&f32, &f64)| (f64::from(a) - b).abs() < 1e-4;
    found.len() == expected.len() && found.iter().zip(expected).all(is_near)
}

fn as_dims(extents: &[usize]) -> Vec<i64> {
    extents.iter().map(|&e| e as i64).collect()
}

/// A spatial axis of a transposed convolution.
#[derive(Clone, Copy, Debug)]
struct Axis {
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pads: [usize; 2],
    extra: usize,
}

impl Axis {
    fn output(&self) -> Option<usize> {
        let full = (self.input - 1) * self.stride + (self.kernel - 1) * self.dilation + 1;
        (full + self.extra).checked_sub(self.pads[0] + self.pads[1]).filter(|&o| o > 0)
    }
}

fn axis() -> impl Strategy<Value = Axis> {
    (1..5usize, 1..4usize, 1..4usize, 1..3usize, [0..5usize, 0..3usize], 0..3usize).prop_map(
        |(input, kernel, stride, dilation, pads, extra)| Axis {
            input,
            kernel,
            stride,
            dilation,
            pads,
            extra: extra.min(stride - 1),
        },
    )
}

/// Every input element is added to the places that the kernel reaches from it.
fn transposed(
    [rows, cols]: [Axis; 2],
    [groups, inputs, outputs]: [usize; 3],
    x: &[f32],
    w: &[f32],
) -> Vec<f64> {
    let (height, width) = (rows.output().unwrap(), cols.output().unwrap());
    let mut y = vec![0f64; groups * outputs * height * width];
    let reach = |axis: Axis, i: usize, k: usize, limit: usize| {
        let place = i * axis.stride + k * axis.dilation;
        place.checked_sub(axis.pads[0]).filter(|&place| place < limit)
    };
    for (g, i, o) in (0..groups)
        .flat_map(|g| (0..inputs).flat_map(move |i| (0..outputs).map(move |o| (g, i, o))))
    {
        for (r, c) in (0..rows.input).flat_map(|r| (0..cols.input).map(move |c| (r, c))) {
            for (j, k) in (0..rows.kernel).flat_map(|j| (0..cols.kernel).map(move |k| (j, k))) {
                let to = reach(rows, r, j, height).zip(reach(cols, c, k, width));
                let Some((row, col)) = to else { continue };
                let pixel = ((g * inputs + i) * rows.input + r) * cols.input + c;
                let weight = (((g * inputs + i) * outputs + o) * rows.kernel + j) * cols.kernel + k;
                y[((g * outputs + o) * height + row) * width + col] +=
                    f64::from(x[pixel] * w[weight]);
            }
        }
    }
    y
}

/// The product of an encrypted tensor `x` with a constant `w` by an equation over letters: a loop over all of them.
fn summed(
    [left, right, result]: [&str; 3],
    extent: impl Fn(char) -> usize,
    x: &[f32],
    w: &[f32],
) -> Vec<f64> {
    let mut letters: Vec<char> = (left.to_owned() + right).chars().collect();
    letters.sort_unstable();
    letters.dedup();
    let count: usize = letters.iter().map(|&l| extent(l)).product();
    let place = |term: &str, values: &[usize]| {
        let value = |l: char| values[letters.iter().position(|&k| k == l).unwrap()];
        term.chars().fold(0, |place, l| place * extent(l) + value(l))
    };
    let mut y = vec![0f64; result.chars().map(&extent).product()];
    for k in 0..count {
        let mut rest = k;
        let digit = |&l: &char| {
            let value = rest % extent(l);
            rest /= extent(l);
            value
        };
        let values: Vec<usize> = letters.iter().map(digit).collect();
        y[place(result, &values)] += f64::from(x[place(left, &values)] * w[place(right, &values)]);
    }
    y
}

/// Equations of `x`, which begins with the batch `b`, and a constant.
fn equation() -> impl Strategy<Value = [String; 3]> {
    let term = || proptest::sample::subsequence(vec!['i', 'j', 'k', 'l'], 1..4).prop_shuffle();
    (term(), term()).prop_flat_map(|(left, right)| {
        let mut all = [left.clone(), right.clone()].concat();
        all.sort_unstable();
        all.dedup();
        let kept = proptest::sample::subsequence(all.clone(), 0..=all.len()).prop_shuffle();
        kept.prop_map(move |kept| {
            let text = |letters: &[char]| letters.iter().collect::<String>();
            ["b".to_owned() + &text(&left), text(&right), "b".to_owned() + &text(&kept)]
        })
    })
}

proptest! {
    #[test]
    fn transposed_convolutions(
        axes in [axis(), axis()],
        groups in 1..3usize,
        inputs in 1..3usize,
        outputs in 1..3usize,
    ) {
        prop_assume!(axes.iter().all(|a| a.output().is_some()));
        let of = |f: fn(&Axis) -> usize| as_dims(&axes.map(|a| f(&a)));
        let x = numbers(groups * inputs * axes[0].input * axes[1].input, 1);
        let w = numbers(groups * inputs * outputs * axes[0].kernel * axes[1].kernel, 2);
        let dims = [vec![(groups * inputs) as i64], of(|a| a.input)].concat();
        let weights = [vec![(groups * inputs) as i64, outputs as i64], of(|a| a.kernel)].concat();
        let attributes = [
            ints("strides", &of(|a| a.stride)),
            ints("dilations", &of(|a| a.dilation)),
            ints("output_padding", &of(|a| a.extra)),
            ints("pads", &[of(|a| a.pads[0]), of(|a| a.pads[1])].concat()),
            int("group", groups as i64),
        ];
        let model = Model::float(&dims).floats("w", &weights, &w);
        let network = model.node("y = ConvTranspose(x, w)", &attributes).import().unwrap().network;
        let expected = transposed(axes, [groups, inputs, outputs], &x, &w);
        prop_assert!(agree(&evaluate(&network, &x), &expected), "{}", network);
    }

    #[test]
    fn products_by_equation([left, right, result] in equation(), extents in [1..4usize, 1..4, 1..4, 1..4]) {
        let extent = |l: char| "ijkl".find(l).map_or(1, |k| extents[k]);
        let dims = |term: &str| term.chars().map(|l| extent(l) as i64).collect::<Vec<_>>();
        let len = |term: &str| term.chars().map(extent).product();
        let (x, w) = (numbers(len(&left), 1), numbers(len(&right), 2));
        let text = string("equation", &format!("{left},{right}->{result}"));
        let model = Model::float(&dims(&left)[1..]).floats("w", &dims(&right), &w);
        let network = model.node("y = Einsum(x, w)", &[text]).import().unwrap().network;
        let expected = summed([&left, &right, &result], extent, &x, &w);
        prop_assert!(agree(&evaluate(&network, &x), &expected), "{}", network);
    }
}
