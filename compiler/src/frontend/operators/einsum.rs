//! `Einsum` of one encrypted tensor with any number of constants, which is a grouped product of matrices between two
//! movements of data, or of two encrypted tensors, whose elements are all multiplied at once.

use std::collections::BTreeSet;

use pic_ir::matrix::{Conv, ConvAxis, Matrix};

use super::super::context::{Context, Encrypted, Value, unexpected, volume};
use super::super::error::Fault;
use super::super::tensor;
use super::movement::gather_matrix;

/// Name of an axis: a letter, or a negative number for an axis of an ellipsis, −1 being the last.
type Label = i32;

/// An operand as the equation reads it.
struct Operand<'a> {
    labels: Vec<Label>,
    shape: &'a [usize],
}

/// `Einsum`.
pub(super) fn einsum(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let values = context.all()?;
    let equation = Equation::parse(&context.string("equation")?, &values)?;
    let encrypted: Vec<&Encrypted> = values
        .iter()
        .filter_map(|v| if let Value::Encrypted(x) = v { Some(x) } else { None })
        .collect();
    match encrypted[..] {
        [_] => {}
        [x, y] if values.len() == 2 => {
            return Ok(vec![encrypted_product(context, [x, y], &equation)?]);
        }
        _ => {
            return Err(Fault::Unsupported {
                reason: "it multiplies two encrypted tensors and others at once".into(),
                help: "split it into products of two operands",
            });
        }
    }
    let mut x = None;
    let (mut constants, mut tensors) = (Vec::new(), Vec::new());
    for (value, labels) in values.iter().zip(equation.operands) {
        let operand = Operand { labels, shape: value.shape() };
        match value {
            Value::Encrypted(tensor) => x = Some((tensor, operand)),
            Value::Constant(tensor) => {
                tensors.push(tensor::floats(tensor)?);
                constants.push(operand.without_broadcast());
            }
            _ => unreachable!("nodes with operands that are not known are not lowered"),
        }
    }
    let (x, operand) = x.expect("one is encrypted");
    check_batch(context, &operand, &constants, &equation.result)?;
    let axes = Axes::new(&operand, &constants, &equation.result)?;
    let extents = |labels: &[Label]| labels.iter().map(|&l| axes.extent(l)).collect::<Vec<_>>();
    let count = |labels: &[Label]| volume(&extents(labels));
    let [groups, rows, cols, pixels] =
        [&axes.groups, &axes.rows, &axes.summed, &axes.others].map(|labels| count(labels));
    let shape = extents(&equation.result);
    let weights = [&*axes.groups, &axes.rows, &axes.summed, &axes.inner].concat();
    context.builder.charge(count(&weights))?;
    context.builder.charge(groups.saturating_mul(cols).saturating_mul(pixels))?;
    context.builder.charge(volume(&shape))?;

    let (products, terms) = (axes.products(&constants, &tensors, &weights), count(&axes.inner));
    let sums = products.chunks_exact(terms).map(|terms| terms.iter().sum::<f64>() as f32);
    let axis =
        ConvAxis { input: pixels, output: pixels, kernel: 1, stride: 1, dilation: 1, pad: 0 };
    let product = Matrix::Conv(Conv {
        out_channels: groups * rows,
        in_channels: groups * cols,
        groups,
        axes: vec![axis],
        weights: sums.collect(),
    });
    let sources = axes.places(&operand, &[&*axes.groups, &axes.summed, &axes.others].concat());
    let before = gather_matrix(x.len(), sources);
    // The product has its axes in an order of its own.
    let made = [&*axes.groups, &axes.rows, &axes.others].concat();
    let made = Operand { shape: &extents(&made), labels: made };
    let after = gather_matrix(product.rows(), axes.places(&made, &equation.result));
    let matrix = after.compose(product).compose(before);
    Ok(vec![context.linear(vec![(x.node, matrix)], None, shape)?])
}

/// The product of two encrypted matrices, or of stacks of them that broadcast.
pub(super) fn matrix_product(
    context: &mut Context,
    x: &Encrypted,
    y: &Encrypted,
) -> Result<Encrypted, Fault> {
    let [m, k, n] = [1, 2, 3];
    let stacked = |rank: usize, last: [Label; 2]| {
        let stack = rank.checked_sub(2).filter(|&axes| axes > 0)?;
        Some([(-(stack as Label)..0).collect(), last.to_vec()].concat())
    };
    let labels = |tensor: &Encrypted, last| {
        stacked(tensor.shape.len(), last)
            .ok_or(Fault::MixesSamples { how: "it multiplies the samples of a batch" })
    };
    let operands = vec![labels(x, [m, k])?, labels(y, [k, n])?];
    let rank = x.shape.len().max(y.shape.len());
    if operands.iter().any(|labels| labels.len() < rank) {
        return Err(Fault::MixesSamples { how: "its operands have their batch at different axes" });
    }
    let result = stacked(rank, [m, n]).unwrap_or_default();
    encrypted_product(context, [x, y], &Equation { operands, result })
}

/// Products of the elements of two encrypted tensors, all at once, and sums of them.
fn encrypted_product(
    context: &mut Context,
    tensors: [&Encrypted; 2],
    equation: &Equation,
) -> Result<Encrypted, Fault> {
    let [x, y] =
        [0, 1].map(|k| Operand { labels: equation.operands[k].clone(), shape: &tensors[k].shape });
    let batch = x.labels[0];
    let is_batch =
        |labels: &[Label]| labels.first() == Some(&batch) && !labels[1..].contains(&batch);
    if ![&x.labels, &y.labels, &equation.result].into_iter().all(|labels| is_batch(labels)) {
        return Err(Fault::MixesSamples { how: "its equation moves or sums the batch axis" });
    }
    let mut axes = Axes::default();
    for operand in [&x, &y] {
        for (&label, &extent) in operand.labels.iter().zip(operand.shape) {
            axes.add(label, extent)?;
        }
    }
    let is_summed = |label: &Label| !equation.result.contains(label);
    let all = axes.extents.iter().map(|&(label, _)| label);
    let summed: Vec<Label> = all.filter(is_summed).collect();
    let order = [&*equation.result, &summed].concat();
    let extents = |labels: &[Label]| labels.iter().map(|&l| axes.extent(l)).collect::<Vec<_>>();
    let (shape, terms) = (extents(&equation.result), volume(&extents(&summed)));
    let spread = [&*shape, &[terms]].concat();
    context.builder.charge(volume(&spread).saturating_mul(2))?;
    let mut spread_operand = |operand: &Operand, tensor: &Encrypted| {
        let places = gather_matrix(tensor.len(), axes.places(operand, &order));
        context.linear(vec![(tensor.node, places)], None, spread.clone())
    };
    let (x, y) = (spread_operand(&x, tensors[0])?, spread_operand(&y, tensors[1])?);
    let products = context.product(&x, &y)?;
    let (outer, weights) = (volume(&shape), vec![1.0; terms]);
    let sums = Matrix::Dense { outer, rows: 1, cols: terms, inner: 1, weights };
    context.linear(vec![(products.node, sums)], None, shape)
}

/// Refuses equations that treat the batch as another axis.
fn check_batch(
    context: &Context,
    x: &Operand,
    constants: &[Operand],
    result: &[Label],
) -> Result<(), Fault> {
    let batch = x.labels[0];
    if result.first() != Some(&batch) || x.labels[1..].contains(&batch) {
        return Err(Fault::MixesSamples { how: "its equation moves or sums the batch axis" });
    }
    match constants.iter().any(|c| c.labels.contains(&batch)) {
        true => context.single_sample("a constant has the batch as an axis"),
        false => Ok(()),
    }
}

/// The labels of all operands and of the result.
struct Equation {
    operands: Vec<Vec<Label>>,
    result: Vec<Label>,
}

impl Equation {
    fn parse(text: &str, values: &[Value]) -> Result<Self, Fault> {
        let reason = || format!("is `{text}` for operands of shapes {:?}", shapes(values));
        let fault = || Fault::Attribute { name: "equation", reason: reason() };
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (&*text, None),
        };
        let terms: Vec<&str> = left.split(',').collect();
        if terms.len() != values.len() {
            return Err(fault());
        }
        let operands = terms.iter().zip(values).map(|(term, value)| {
            let rank = value.shape().len();
            let ellipsis = rank.checked_sub(term.replace("...", "").len())?;
            labels(term, ellipsis).filter(|labels| labels.len() == rank)
        });
        let operands: Vec<Vec<Label>> = operands.collect::<Option<_>>().ok_or_else(fault)?;
        let all: Vec<Label> = operands.concat();
        let ellipsis = all.iter().map(|&l| (-l).max(0)).max().unwrap_or(0);
        let result = match right {
            Some(right) => labels(right, ellipsis as usize).ok_or_else(fault)?,
            None => {
                let once = |l: &&Label| **l > 0 && all.iter().filter(|o| o == l).count() == 1;
                let letters: BTreeSet<Label> = all.iter().filter(once).copied().collect();
                (-ellipsis..0).chain(letters).collect()
            }
        };
        let is_new = |(k, l): (usize, &Label)| all.contains(l) && !result[..k].contains(l);
        match result.iter().enumerate().all(is_new) {
            true => Ok(Self { operands, result }),
            false => Err(fault()),
        }
    }
}

fn shapes(values: &[Value]) -> Vec<&[usize]> {
    values.iter().map(Value::shape).collect()
}

/// The labels of a term whose ellipsis, if it has one, stands for a number of axes.
fn labels(term: &str, ellipsis: usize) -> Option<Vec<Label>> {
    let letters = |part: &str| {
        let label = |c: char| c.is_ascii_alphabetic().then_some(c as Label);
        part.chars().map(label).collect::<Option<Vec<_>>>()
    };
    match term.split_once("...") {
        None => letters(term),
        Some((front, back)) => {
            let axes = (-(ellipsis as Label)..0).collect();
            Some([letters(front)?, axes, letters(back)?].concat())
        }
    }
}

impl Operand<'_> {
    /// Axes of an ellipsis that have extent 1 fit any extent, and take no part in the product.
    fn without_broadcast(mut self) -> Self {
        // Their stride is of no account: nothing walks along them.
        for (label, &extent) in self.labels.iter_mut().zip(self.shape) {
            if *label < 0 && extent == 1 {
                *label = BROADCAST;
            }
        }
        self
    }
}

/// Label of axes along which an operand is repeated.
const BROADCAST: Label = 0;

/// All labels with their extents, by the part that they take in the product.
#[derive(Default)]
struct Axes {
    extents: Vec<(Label, usize)>,
    /// Of the encrypted tensor, of a constant and of the result: one product of matrices for each.
    groups: Vec<Label>,
    /// Of a constant and of the result.
    rows: Vec<Label>,
    /// Of the encrypted tensor, not of the result.
    summed: Vec<Label>,
    /// Of the encrypted tensor and of the result.
    others: Vec<Label>,
    /// Of constants alone, summed before anything is encrypted.
    inner: Vec<Label>,
}

impl Axes {
    fn new(x: &Operand, constants: &[Operand], result: &[Label]) -> Result<Self, Fault> {
        let mut axes = Self::default();
        for operand in std::iter::once(x).chain(constants) {
            for (&label, &extent) in operand.labels.iter().zip(operand.shape) {
                axes.add(label, extent)?;
            }
        }
        for &(label, _) in &axes.extents {
            let in_constants = constants.iter().any(|c| c.labels.contains(&label));
            let part = match (x.labels.contains(&label), in_constants, result.contains(&label)) {
                (true, true, true) => &mut axes.groups,
                (true, _, false) => &mut axes.summed,
                (true, false, true) => &mut axes.others,
                (false, _, true) => &mut axes.rows,
                (false, _, false) => &mut axes.inner,
            };
            part.push(label);
        }
        Ok(axes)
    }

    fn add(&mut self, label: Label, extent: usize) -> Result<(), Fault> {
        if extent == 0 {
            return Err(unexpected("axes that are not empty", &[extent]));
        }
        match self.extents.iter_mut().find(|(known, _)| *known == label) {
            _ if label == BROADCAST => {}
            None => self.extents.push((label, extent)),
            Some((_, known)) if *known == extent => {}
            // An ellipsis broadcasts.
            Some((_, known)) if label < 0 && *known == 1 => *known = extent,
            Some(_) if label < 0 && extent == 1 => {}
            Some((_, known)) => {
                let reason = format!("axes of one name have {known} and {extent} elements");
                return Err(Fault::Shape { reason });
            }
        }
        Ok(())
    }

    fn extent(&self, label: Label) -> usize {
        self.extents.iter().find(|(known, _)| *known == label).map_or(1, |&(_, extent)| extent)
    }

    /// The place in an operand for each index of the labels in `order`, row-major. A label that an operand has
    /// twice walks its diagonal; one that it lacks, or that is broadcast, does not move.
    fn places(&self, operand: &Operand, order: &[Label]) -> Vec<u32> {
        let mut places = vec![0u32];
        for &label in order {
            let stride = operand.stride(label) as u32;
            let extent = self.extent(label) as u32;
            places = places.iter().flat_map(|p| (0..extent).map(move |k| p + k * stride)).collect();
        }
        places
    }

    /// The products of the constants' elements for each index of `order`.
    fn products(&self, constants: &[Operand], tensors: &[Vec<f32>], order: &[Label]) -> Vec<f64> {
        let count = order.iter().map(|&l| self.extent(l)).product();
        let mut products = vec![1f64; count];
        for (operand, tensor) in constants.iter().zip(tensors) {
            let places = self.places(operand, order);
            let factors = places.iter().map(|&p| f64::from(tensor[p as usize]));
            products.iter_mut().zip(factors).for_each(|(product, factor)| *product *= factor);
        }
        products
    }
}

impl Operand<'_> {
    /// Distance of neighbours along all axes of a label; 0 along an axis that is repeated.
    fn stride(&self, label: Label) -> usize {
        let mut stride = 0;
        for (axis, _) in self.labels.iter().enumerate().filter(|&(_, &l)| l == label) {
            if self.shape[axis] > 1 {
                stride += self.shape[axis + 1..].iter().product::<usize>();
            }
        }
        stride
    }
}
