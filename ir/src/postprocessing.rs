//! Postprocessing: what the client computes from the decrypted outputs of the encrypted network, so that its outputs
//! are those of the ONNX file.
//!
//! A network ends before the operators that are exact and free for whoever decrypts, such as a final Softmax or ArgMax.
//! They are kept in the artifact and applied after decryption. Precision, ranges and classes are properties of what was
//! encrypted, the *logits*; nothing here is needed to judge an answer.
//!
//! Shapes and axes are those of one sample, without the batch axis.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::function::Function;

/// Most steps of a postprocessing.
pub const MAX_STEPS: usize = 64;

/// Most elements that all steps [`Step::Gather`] of a postprocessing yield together. Their sources are in every client's
/// file.
pub const MAX_GATHERED: usize = 1 << 20;

/// Most axes of a shape.
const MAX_AXES: usize = 16;

/// Steps that are applied to the outputs of the network, one after the other; none by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Postprocessing {
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// One step: a map between row-major flattened tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Applies a function to every element.
    Activation(Function),
    /// `e^x / Σ e^x`, where the sum is over all elements along these axes.
    Softmax {
        /// The axes, one or several neighbouring ones.
        axes: Range<usize>,
    },
    /// Natural logarithm of [`Step::Softmax`].
    LogSoftmax {
        /// The axes, one or several neighbouring ones.
        axes: Range<usize>,
    },
    /// Positions of the largest elements along an axis, as numbers from 0.
    ArgMax {
        /// The axis, whose extent becomes 1.
        axis: usize,
        /// True if the result keeps the axis.
        keeps_axis: bool,
        /// True if the last one of equal elements is taken, false for the first.
        takes_last: bool,
    },
    /// The largest elements along an axis, the largest first, and of equal ones the first.
    TopK {
        /// The axis, whose extent becomes `count`.
        axis: usize,
        /// Number of elements that are taken.
        count: usize,
        /// True for the positions of the elements, as numbers from 0; false for their values.
        positions: bool,
    },
    /// Takes the elements at these positions: transpositions, slices and other movements of data.
    Gather {
        /// Position of each element of the result.
        sources: Vec<u32>,
        /// Extents of the result.
        shape: Vec<usize>,
    },
    /// The same elements under another shape.
    Reshape {
        /// Extents of the result.
        shape: Vec<usize>,
    },
}

/// Reason why a postprocessing is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostprocessingError {
    /// A step has too many elements or axes, or there are too many steps.
    #[error(
        "a postprocessing has at most {MAX_STEPS} steps and {MAX_AXES} axes, and gathers at most {MAX_GATHERED} elements"
    )]
    Size,
    /// A step does not fit what it is applied to.
    #[error("the step {step} does not fit a tensor of shape {shape:?}")]
    Misfit {
        /// The step.
        step: String,
        /// Extents of its operand.
        shape: Vec<usize>,
    },
}

impl Postprocessing {
    /// Checks that the steps fit outputs of this shape, and returns the shape of the result.
    ///
    /// # Errors
    /// [`PostprocessingError`].
    pub fn verify(&self, shape: &[usize]) -> Result<Vec<usize>, PostprocessingError> {
        let gathered = |step: &Step| match step {
            Step::Gather { sources, .. } => sources.len(),
            _ => 0,
        };
        let gathered = self.steps.iter().map(gathered).fold(0, usize::saturating_add);
        if self.steps.len() > MAX_STEPS || gathered > MAX_GATHERED {
            return Err(PostprocessingError::Size);
        }
        self.steps.iter().try_fold(shape.to_vec(), |shape, step| step.verify(&shape))
    }

    /// True if there is nothing to do.
    pub fn is_identity(&self) -> bool {
        self.steps.is_empty()
    }

    /// True if every element of the result belongs to the output at the same position, as a probability does to the
    /// logit of its class.
    pub fn keeps_positions(&self) -> bool {
        use Step::{Activation, LogSoftmax, Reshape, Softmax};
        let keeps = |step: &Step| {
            matches!(step, Activation(_) | Softmax { .. } | LogSoftmax { .. } | Reshape { .. })
        };
        self.steps.iter().all(keeps)
    }

    /// Applies the steps to outputs of a shape for which they have been verified.
    ///
    /// ```
    /// use pic_ir::postprocessing::{Postprocessing, Step};
    ///
    /// let steps = vec![Step::ArgMax { axis: 0, keeps_axis: true, takes_last: false }];
    /// assert_eq!(Postprocessing { steps }.apply(&[3], &[0.5, 2.0, -1.0]), [1.0]);
    /// ```
    pub fn apply(&self, shape: &[usize], outputs: &[f32]) -> Vec<f32> {
        let (mut shape, mut values) = (shape.to_vec(), outputs.to_vec());
        for step in &self.steps {
            values = step.apply(&shape, &values);
            shape = step.result(&shape).unwrap_or(shape);
        }
        values
    }
}

impl Step {
    /// Checks that the step fits an operand of this shape, and returns the shape of its result.
    fn verify(&self, shape: &[usize]) -> Result<Vec<usize>, PostprocessingError> {
        let misfit =
            || PostprocessingError::Misfit { step: self.to_string(), shape: shape.to_vec() };
        let result = self.result(shape).ok_or_else(misfit)?;
        let (from, to) = (volume(shape).ok_or_else(misfit)?, volume(&result));
        let fits = match self {
            Self::Gather { sources, .. } => {
                to == Some(sources.len()) && sources.iter().all(|&source| (source as usize) < from)
            }
            Self::Reshape { .. } => to == Some(from),
            _ => true,
        };
        match (fits, result.len() <= MAX_AXES) {
            (true, true) => Ok(result),
            (true, false) => Err(PostprocessingError::Size),
            (false, _) => Err(misfit()),
        }
    }

    /// Shape of the result; none if the axes are not those of the operand.
    fn result(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let mut result = shape.to_vec();
        match self {
            Self::Activation(_) => {}
            Self::Softmax { axes } | Self::LogSoftmax { axes } => {
                (!axes.is_empty() && axes.end <= shape.len()).then_some(())?;
            }
            Self::ArgMax { axis, keeps_axis, .. } => {
                *result.get_mut(*axis)? = 1;
                if !keeps_axis {
                    result.remove(*axis);
                }
            }
            Self::TopK { axis, count, .. } => {
                let extent = result.get_mut(*axis)?;
                (1..=*extent).contains(count).then_some(())?;
                *extent = *count;
            }
            Self::Gather { shape, .. } | Self::Reshape { shape } => result.clone_from(shape),
        }
        Some(result)
    }

    fn apply(&self, shape: &[usize], x: &[f32]) -> Vec<f32> {
        match self {
            Self::Activation(function) => {
                x.iter().map(|&v| function.evaluate(f64::from(v)) as f32).collect()
            }
            Self::Softmax { axes } => along(shape, axes, x, |line| {
                let (largest, sum) = exponentials(line);
                line.iter().map(|v| libm::exp(v - largest) / sum).collect()
            }),
            Self::LogSoftmax { axes } => along(shape, axes, x, |line| {
                let (largest, sum) = exponentials(line);
                line.iter().map(|v| v - largest - libm::log(sum)).collect()
            }),
            Self::ArgMax { axis, takes_last, .. } => along(shape, &(*axis..axis + 1), x, |line| {
                let mut best = 0;
                for (k, v) in line.iter().enumerate() {
                    if *v > line[best] || (*takes_last && *v == line[best]) {
                        best = k;
                    }
                }
                vec![best as f64]
            }),
            Self::TopK { axis, count, positions } => along(shape, &(*axis..axis + 1), x, |line| {
                let mut order: Vec<usize> = (0..line.len()).collect();
                order.sort_by(|&a, &b| line[b].total_cmp(&line[a]));
                let part = |k: usize| if *positions { k as f64 } else { line[k] };
                order.into_iter().take(*count).map(part).collect()
            }),
            Self::Gather { sources, .. } => sources.iter().map(|&k| x[k as usize]).collect(),
            Self::Reshape { .. } => x.to_vec(),
        }
    }
}

/// Applies a map to all elements along some axes, for each position of the others. All results have one length, which
/// takes the place of the extents of these axes.
fn along(
    shape: &[usize],
    axes: &Range<usize>,
    x: &[f32],
    map: impl Fn(&[f64]) -> Vec<f64>,
) -> Vec<f32> {
    let outer: usize = shape[..axes.start].iter().product();
    let length: usize = shape[axes.clone()].iter().product();
    let inner: usize = shape[axes.end..].iter().product();
    let mut result = Vec::with_capacity(x.len());
    for block in x.chunks_exact((length * inner).max(1)).take(outer) {
        let line = |i: usize| block.iter().skip(i).step_by(inner).map(|&v| f64::from(v)).collect();
        let lines: Vec<Vec<f64>> = (0..inner).map(|i| map(&line(i) as &Vec<f64>)).collect();
        let rows = lines.first().map_or(0, Vec::len);
        result.extend((0..rows).flat_map(|row| lines.iter().map(move |line| line[row] as f32)));
    }
    result
}

/// The largest element, and the sum of `e^(x − largest)`, which cannot overflow.
fn exponentials(line: &[f64]) -> (f64, f64) {
    let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (largest, line.iter().map(|v| libm::exp(v - largest)).sum())
}

/// Number of elements of a shape; none if it overflows.
fn volume(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent))
}

/// The ONNX operator, with what distinguishes it from others of its kind.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = |f: &mut fmt::Formatter<'_>, name: &str, axes: &Range<usize>| match axes.len() {
            1 => write!(f, "{name}(axis {})", axes.start),
            _ => write!(f, "{name}(axes {} to {})", axes.start, axes.end.saturating_sub(1)),
        };
        match self {
            Self::Activation(function) => write!(f, "{function}"),
            Self::Softmax { axes } => over(f, "Softmax", axes),
            Self::LogSoftmax { axes } => over(f, "LogSoftmax", axes),
            Self::ArgMax { axis, takes_last: false, .. } => write!(f, "ArgMax(axis {axis})"),
            Self::ArgMax { axis, .. } => write!(f, "ArgMax(axis {axis}, last)"),
            Self::TopK { axis, count, positions } => {
                let part = if *positions { "positions" } else { "values" };
                write!(f, "TopK({part} of {count}, axis {axis})")
            }
            Self::Gather { shape, .. } => write!(f, "Gather(to {shape:?})"),
            Self::Reshape { shape } => write!(f, "Reshape({shape:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(step: Step, shape: &[usize], x: &[f32]) -> (Vec<usize>, Vec<f32>) {
        let postprocessing = Postprocessing { steps: vec![step] };
        let result = postprocessing.verify(shape).unwrap();
        let values = postprocessing.apply(shape, x);
        assert_eq!(values.len(), result.iter().product::<usize>());
        (result, values)
    }

    fn assert_near(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    /// Logarithms of weights, whose softmax is the weights over their sum.
    #[test]
    fn softmax_of_logarithms_is_their_shares() {
        let x = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(libm::logf);
        let shares = |axes: Range<usize>| applied(Step::Softmax { axes }, &[2, 3], &x).1;
        assert_near(&shares(1..2), &[1.0 / 6.0, 2.0 / 6.0, 0.5, 4.0 / 15.0, 5.0 / 15.0, 0.4]);
        assert_near(&shares(0..1), &[0.2, 2.0 / 7.0, 3.0 / 9.0, 0.8, 5.0 / 7.0, 6.0 / 9.0]);
        assert_near(&shares(0..2), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(|w: f64| w / 21.0));
        let (_, logs) = applied(Step::LogSoftmax { axes: 1..2 }, &[2, 3], &x);
        assert_near(
            &logs,
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
                .map(|w: f64| libm::log(w / if w < 3.5 { 6.0 } else { 15.0 })),
        );
        // The middle axis of three.
        let (_, middle) = applied(Step::Softmax { axes: 1..2 }, &[1, 3, 2], &x);
        assert_near(&middle, &[1.0 / 9.0, 2.0 / 12.0, 3.0 / 9.0, 4.0 / 12.0, 5.0 / 9.0, 0.5]);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let (_, shares) = applied(Step::Softmax { axes: 0..1 }, &[3], &[1e30, 1e30, -1e30]);
        assert_eq!(shares, [0.5, 0.5, 0.0]);
        let (_, logs) = applied(Step::LogSoftmax { axes: 0..1 }, &[2], &[1000.0, 0.0]);
        assert_eq!(logs, [0.0, -1000.0]);
    }

    #[test]
    fn largest_elements_are_found_along_their_axis() {
        let x = [3.0, 1.0, 3.0, 2.0, 5.0, 5.0];
        let arg_max = |axis, keeps_axis, takes_last| {
            applied(Step::ArgMax { axis, keeps_axis, takes_last }, &[2, 3], &x)
        };
        assert_eq!(arg_max(1, true, false), (vec![2, 1], vec![0.0, 1.0]));
        assert_eq!(arg_max(1, false, true), (vec![2], vec![2.0, 2.0]));
        assert_eq!(arg_max(0, true, false), (vec![1, 3], vec![0.0, 1.0, 1.0]));
        let top =
            |axis, count, positions| applied(Step::TopK { axis, count, positions }, &[2, 3], &x);
        assert_eq!(top(1, 2, false), (vec![2, 2], vec![3.0, 3.0, 5.0, 5.0]));
        assert_eq!(top(1, 2, true), (vec![2, 2], vec![0.0, 2.0, 1.0, 2.0]));
        assert_eq!(top(0, 1, true), (vec![1, 3], vec![0.0, 1.0, 1.0]));
        let scalar = applied(
            Step::ArgMax { axis: 0, keeps_axis: false, takes_last: false },
            &[3],
            &[0.0, 1.0, f32::NAN],
        );
        assert_eq!(scalar, (vec![], vec![1.0]));
    }

    #[test]
    fn steps_follow_each_other() {
        let steps = vec![
            Step::Activation(Function::Relu),
            Step::Gather { sources: vec![0, 3, 1, 4, 2, 5], shape: vec![3, 2] },
            Step::Reshape { shape: vec![6] },
            Step::TopK { axis: 0, count: 2, positions: true },
        ];
        let postprocessing = Postprocessing { steps };
        assert_eq!(postprocessing.verify(&[2, 3]), Ok(vec![2]));
        assert!(!postprocessing.keeps_positions() && !postprocessing.is_identity());
        // Transposed: −1, 4, 2, −5, 3, 6.
        assert_eq!(postprocessing.apply(&[2, 3], &[-1.0, 2.0, 3.0, 4.0, -5.0, 6.0]), [5.0, 1.0]);
        let text: Vec<String> = postprocessing.steps.iter().map(ToString::to_string).collect();
        let expected =
            ["relu", "Gather(to [3, 2])", "Reshape([6])", "TopK(positions of 2, axis 0)"];
        assert_eq!(text, expected);
        assert_eq!(Postprocessing::default().apply(&[2], &[1.0, 2.0]), [1.0, 2.0]);
        assert!(Postprocessing::default().keeps_positions());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |step: Step| {
            let found = Postprocessing { steps: vec![step.clone()] }.verify(&[2, 3]);
            assert!(matches!(found, Err(PostprocessingError::Misfit { .. })), "{step}: {found:?}");
        };
        for axes in [2..3, 0..3, 1..1, 2..usize::MAX, Range { start: 1, end: 0 }] {
            refused(Step::Softmax { axes: axes.clone() });
            refused(Step::LogSoftmax { axes });
        }
        for axis in [2, usize::MAX] {
            refused(Step::ArgMax { axis, keeps_axis: false, takes_last: false });
            refused(Step::TopK { axis, count: 1, positions: true });
        }
        for count in [0, 4, usize::MAX] {
            refused(Step::TopK { axis: 1, count, positions: false });
        }
        refused(Step::Gather { sources: vec![6], shape: vec![1] });
        refused(Step::Gather { sources: vec![0, 1], shape: vec![3] });
        for shape in [vec![5], vec![usize::MAX, usize::MAX], vec![]] {
            refused(Step::Reshape { shape });
        }
        let too_large = |steps| {
            let found = Postprocessing { steps }.verify(&[2, 3]);
            assert_eq!(found, Err(PostprocessingError::Size));
        };
        too_large(vec![Step::Activation(Function::Relu); MAX_STEPS + 1]);
        let gather = |n: usize| Step::Gather { sources: vec![0; n], shape: vec![n] };
        too_large(vec![gather(MAX_GATHERED), gather(1)]);
        let axes = [vec![2, 3], vec![1; MAX_AXES]].concat();
        too_large(vec![Step::Reshape { shape: axes }]);
    }
}
