//! `Resize` and `Upsample`: each axis is resampled by a matrix of its own.
//!
//! Formulas are those of the ONNX specification. Lengths that are not whole stay fractions in them.

use pic_ir::matrix::Matrix;
use tract_onnx::prelude::tract_ndarray::Axis;

use super::super::context::{Context, Encrypted, MAX_TENSOR, unexpected, volume};
use super::super::error::Fault;
use super::super::tensor;
use super::contraction::along_axis;
use super::movement::{gather_matrix, indices};

/// `Resize`, and `Upsample` of older operator sets.
pub(super) fn resize(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let filter = Filter::new(context)?;
    let resized = lengths(context, &x.shape)?;
    let mut shape = x.shape.clone();
    resized.iter().for_each(|r| shape[r.axis] = r.output);
    context.builder.charge(volume(&shape))?;
    let (mut index, mut interpolated, mut outside) = (indices(&x), Vec::new(), Vec::new());
    for length in &resized {
        let places = (0..length.output).map(|p| filter.coordinate(length, p as f64));
        let places = places.collect::<Result<Vec<_>, _>>()?;
        let last = (length.input - 1) as f64;
        if filter.extrapolates {
            let is_outside = |p: &f64| !(0.0..=last).contains(p);
            outside.push((length.axis, places.iter().map(is_outside).collect::<Vec<_>>()));
        }
        match filter.kernel {
            Kernel::Nearest(round) => {
                let nearest = |&p: &f64| round.apply(p).clamp(0.0, last) as usize;
                let nearest: Vec<usize> = places.iter().map(nearest).collect();
                index = index.select(Axis(length.axis), &nearest);
            }
            _ => {
                context.builder.charge(length.input.saturating_mul(length.output))?;
                interpolated.push((length.axis, filter.weights(length, &places)?));
            }
        }
    }
    let mut shape_so_far = index.shape().to_vec();
    let mut matrix = gather_matrix(x.len(), index.iter().copied().collect());
    for (axis, weights) in interpolated {
        context.builder.charge(volume(&shape_so_far))?;
        matrix = along_axis(&shape_so_far, axis, shape[axis], weights).compose(matrix);
        shape_so_far[axis] = shape[axis];
    }
    let mut bias = None;
    if !outside.is_empty() {
        let is_outside = outside_mask(&shape, &outside);
        let inside = is_outside.iter().map(|&o| if o { 0.0 } else { 1.0 }).collect();
        matrix = Matrix::Diagonal(inside).compose(matrix);
        let value = filter.extrapolation_value;
        bias = Some(is_outside.iter().map(|&o| if o { value } else { 0.0 }).collect());
    }
    Ok(vec![context.linear(vec![(x.node, matrix)], bias, shape)?])
}

/// Elements whose coordinate along some axis lies outside the tensor.
fn outside_mask(shape: &[usize], outside: &[(usize, Vec<bool>)]) -> Vec<bool> {
    let mut mask = vec![false; volume(shape)];
    for (axis, along) in outside {
        let inner: usize = shape[axis + 1..].iter().product();
        for (k, is_outside) in mask.iter_mut().enumerate() {
            *is_outside |= along[k / inner % along.len()];
        }
    }
    mask
}

/// An axis that changes.
struct Length {
    axis: usize,
    input: usize,
    output: usize,
    scale: f64,
    /// Length of the result before it is rounded.
    exact: f64,
    /// Part of the input that is resized, as fractions of it.
    region: (f64, f64),
}

/// The axes that a node resizes.
fn lengths(context: &Context, shape: &[usize]) -> Result<Vec<Length>, Fault> {
    let rank = shape.len();
    let axes = match context.ints("axes")? {
        Some(axes) => axes.iter().map(|&a| context.axis(a, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect::<Vec<_>>(),
    };
    let count = axes.len();
    let has_region = context.opset >= 11 && context.proto.op_type == "Resize";
    let (scales_at, sizes_at) = if has_region { (2, 3) } else { (1, 4) };
    let list = |position, what| -> Result<Option<Vec<f32>>, Fault> {
        let tensor = context.optional(position, what)?;
        let list = tensor.map(|t| tensor::floats(&t)).transpose()?.filter(|l| !l.is_empty());
        match list {
            Some(list) if list.len() != count => Err(Fault::Shape {
                reason: format!("it has {} {what} for {count} axes", list.len()),
            }),
            list => Ok(list),
        }
    };
    let sizes = match context.optional(sizes_at, "sizes")?.filter(|sizes| sizes.len() > 0) {
        Some(sizes) if sizes.len() == count => Some(tensor::integers(&sizes)?),
        Some(sizes) => return Err(unexpected(&format!("sizes of {count} axes"), sizes.shape())),
        None => None,
    };
    let scales = match context.floats("scales")? {
        Some(scales) if scales.len() == count => Some(scales),
        _ => list(scales_at, "scales")?,
    };
    let is_crop = context.string("coordinate_transformation_mode")? == "tf_crop_and_resize";
    let region = match has_region && is_crop {
        true => tensor::floats(&*context.constant(1, "region")?)?,
        false => [vec![0.0; count], vec![1.0; count]].concat(),
    };
    if region.len() != 2 * count {
        return Err(unexpected(&format!("a region along {count} axes"), &[region.len()]));
    }
    let stretched = match (sizes, scales) {
        (Some(sizes), _) => by_sizes(context, shape, &axes, &sizes)?,
        (None, Some(scales)) => by_scales(shape, &axes, &scales)?,
        (None, None) => return Err(Fault::Missing { position: scales_at }),
    };
    let mut lengths = Vec::new();
    for (k, &axis) in axes.iter().enumerate() {
        let (output, scale, exact) = stretched[k];
        let region = (f64::from(region[k]), f64::from(region[count + k]));
        if output == shape[axis] && scale == 1.0 && region == (0.0, 1.0) {
            continue;
        }
        if axis == 0 {
            return Err(Fault::MixesSamples { how: "it resizes the batch axis" });
        }
        if output == 0 || lengths.iter().any(|l: &Length| l.axis == axis) {
            return Err(unexpected(
                &format!("an axis {axis} that can have {output} elements"),
                shape,
            ));
        }
        lengths.push(Length { axis, input: shape[axis], output, scale, exact, region });
    }
    Ok(lengths)
}

/// New length, scale and exact length of each axis.
type Stretched = Vec<(usize, f64, f64)>;

fn by_scales(shape: &[usize], axes: &[usize], scales: &[f32]) -> Result<Stretched, Fault> {
    if !scales.iter().all(|&s| s > 0.0 && s.is_finite()) {
        return Err(Fault::Attribute { name: "scales", reason: format!("are {scales:?}") });
    }
    let stretched = axes.iter().zip(scales).map(|(&axis, &scale)| {
        // In single precision, as shapes are inferred.
        let output = (shape[axis] as f32 * scale).floor() as usize;
        (output, f64::from(scale), f64::from(scale) * shape[axis] as f64)
    });
    Ok(stretched.collect())
}

fn by_sizes(
    context: &Context,
    shape: &[usize],
    axes: &[usize],
    sizes: &[i64],
) -> Result<Stretched, Fault> {
    let size = |(&axis, &size): (&usize, &i64)| {
        let size = if axis == 0 { context.of_one_sample(size) } else { size };
        usize::try_from(size).unwrap_or(0)
    };
    let sizes: Vec<usize> = axes.iter().zip(sizes).map(size).collect();
    let scales = axes.iter().zip(&sizes).map(|(&axis, &size)| size as f64 / shape[axis] as f64);
    let common = match &*context.string("keep_aspect_ratio_policy")? {
        "" | "stretch" => None,
        "not_larger" => Some(scales.clone().fold(f64::INFINITY, f64::min)),
        "not_smaller" => Some(scales.clone().fold(0.0, f64::max)),
        other => {
            let reason = format!("is `{other}`");
            return Err(Fault::Attribute { name: "keep_aspect_ratio_policy", reason });
        }
    };
    Ok(match common {
        None => scales.zip(&sizes).map(|(scale, &size)| (size, scale, size as f64)).collect(),
        Some(scale) => {
            let stretch = |&axis: &usize| {
                let exact = scale * shape[axis] as f64;
                ((exact + 0.5).floor() as usize, scale, exact)
            };
            axes.iter().map(stretch).collect()
        }
    })
}

/// What an element of the result is made of.
struct Filter {
    kernel: Kernel,
    /// Attribute `coordinate_transformation_mode`.
    coordinates: String,
    /// True if the kernel widens with the step between samples.
    antialias: bool,
    /// True if elements outside the tensor have no weight.
    exclude_outside: bool,
    /// True if the result is a constant where its coordinate lies outside the tensor.
    extrapolates: bool,
    extrapolation_value: f32,
}

#[derive(Clone, Copy)]
enum Kernel {
    Nearest(Round),
    Linear,
    /// Cubic convolution with the coefficient `a` (Keys 1981).
    Cubic(f64),
}

#[derive(Clone, Copy)]
enum Round {
    HalfDown,
    HalfUp,
    Down,
    Up,
}

impl Round {
    fn apply(self, x: f64) -> f64 {
        match self {
            Self::HalfDown => (x - 0.5).ceil(),
            Self::HalfUp => (x + 0.5).floor(),
            Self::Down => x.floor(),
            Self::Up => x.ceil(),
        }
    }
}

impl Kernel {
    /// Distance from which on the weight is zero.
    fn radius(self) -> f64 {
        if let Self::Cubic(_) = self { 2.0 } else { 1.0 }
    }

    /// Weight of an element at a distance.
    fn weight(self, distance: f64) -> f64 {
        let t = distance.abs();
        match self {
            Self::Cubic(a) if t <= 1.0 => ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0,
            Self::Cubic(a) if t < 2.0 => a * (((t - 5.0) * t + 8.0) * t - 4.0),
            Self::Cubic(_) => 0.0,
            _ => (1.0 - t).max(0.0),
        }
    }
}

impl Filter {
    fn new(context: &Context) -> Result<Self, Fault> {
        let text = |name, default: &str| -> Result<String, Fault> {
            Ok(Some(context.string(name)?).filter(|s| !s.is_empty()).unwrap_or(default.into()))
        };
        let unknown =
            |name, value: &str| Fault::Attribute { name, reason: format!("is `{value}`") };
        // Before operator set 11 there were no modes: coordinates are divided by the scale.
        let is_plain = context.opset < 11 || context.proto.op_type == "Upsample";
        let (rounding, coordinates) = match is_plain {
            true => ("floor".into(), "asymmetric".into()),
            false => (
                text("nearest_mode", "round_prefer_floor")?,
                text("coordinate_transformation_mode", "half_pixel")?,
            ),
        };
        let kernel = match &*text("mode", "nearest")? {
            "nearest" => Kernel::Nearest(match &*rounding {
                "round_prefer_floor" => Round::HalfDown,
                "round_prefer_ceil" => Round::HalfUp,
                "floor" => Round::Down,
                "ceil" => Round::Up,
                other => return Err(unknown("nearest_mode", other)),
            }),
            "linear" | "bilinear" | "trilinear" => Kernel::Linear,
            "cubic" => Kernel::Cubic(f64::from(context.float("cubic_coeff_a", -0.75)?)),
            other => return Err(unknown("mode", other)),
        };
        Ok(Self {
            kernel,
            antialias: context.int("antialias", 0)? != 0,
            exclude_outside: context.int("exclude_outside", 0)? != 0,
            extrapolates: coordinates == "tf_crop_and_resize",
            extrapolation_value: context.float("extrapolation_value", 0.0)?,
            coordinates,
        })
    }

    /// Where in the input the element at position `p` of the result lies.
    fn coordinate(&self, length: &Length, p: f64) -> Result<f64, Fault> {
        let Length { scale, exact, region: (start, end), .. } = *length;
        let (input, output) = (length.input as f64, length.output as f64);
        let centre = (p + 0.5) / scale - 0.5;
        Ok(match &*self.coordinates {
            "half_pixel" => centre,
            "pytorch_half_pixel" if exact == 1.0 => 0.0,
            "pytorch_half_pixel" => centre,
            "half_pixel_symmetric" => input / 2.0 * (1.0 - output / exact) + centre,
            "asymmetric" => p / scale,
            "align_corners" if exact == 1.0 => 0.0,
            "align_corners" => p * (input - 1.0) / (exact - 1.0),
            "tf_half_pixel_for_nn" => (p + 0.5) / scale,
            "tf_crop_and_resize" if exact == 1.0 => 0.5 * (start + end) * (input - 1.0),
            "tf_crop_and_resize" => {
                start * (input - 1.0) + p * (end - start) * (input - 1.0) / (exact - 1.0)
            }
            other => {
                let reason = format!("is `{other}`");
                return Err(Fault::Attribute { name: "coordinate_transformation_mode", reason });
            }
        })
    }

    /// The matrix, row-major, that takes elements of the input to the results at `places`.
    fn weights(&self, length: &Length, places: &[f64]) -> Result<Vec<f32>, Fault> {
        let last = length.input as i64 - 1;
        let widened = if self.antialias { length.scale.min(1.0) } else { 1.0 };
        let reach = (self.kernel.radius() / widened).ceil();
        let limit = MAX_TENSOR as f64;
        if !places.iter().all(|p| p.abs() < limit) || reach > limit {
            return Err(Fault::Attribute { name: "scales", reason: "are out of range".into() });
        }
        let mut weights = vec![0f32; length.input * length.output];
        for (row, &place) in weights.chunks_exact_mut(length.input).zip(places) {
            let middle = place.floor() as i64;
            let near = middle - reach as i64..=middle + reach as i64;
            let weigh = |k: i64| (k, self.kernel.weight((k as f64 - place) * widened));
            let is_counted = |k: &i64| !self.exclude_outside || (0..=last).contains(k);
            let taps: Vec<(i64, f64)> = near.filter(is_counted).map(weigh).collect();
            let total: f64 = taps.iter().map(|&(_, w)| w).sum();
            let total = if total == 0.0 { 1.0 } else { total };
            let mut sums = vec![0f64; length.input];
            for (k, weight) in taps {
                sums[k.clamp(0, last) as usize] += weight / total;
            }
            row.iter_mut().zip(sums).for_each(|(entry, sum)| *entry = sum as f32);
        }
        Ok(weights)
    }
}
