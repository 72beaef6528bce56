//! Chooses where every tensor lies, and the giant steps of every linear node.
//!
//! Nodes joined by activations and products share one layout (a *class*). Candidates are row-major
//! orders, power-of-two pitches, gapped and multiplexed images, channels innermost, and
//! longer periods; the total cost of the linear nodes, each depending on its own class and those of its
//! operands, is minimised by coordinate descent. Levels are not known yet, so costs are taken
//! at one middle level.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use petgraph::unionfind::UnionFind;
use pic_ckks_model::Parameters;
use pic_ckks_model::work::Counter;
use pic_ir::cost::{CostModel, linear};
use pic_ir::layout::{Digit, Layout};
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Op};
use pic_ir::transform::{Diagonal, Geometry, Steps, Term, structure};
use rayon::prelude::*;

/// Sweeps over all classes before the descent stops even if it still improves.
const MAX_SWEEPS: usize = 6;

/// Layouts of all nodes and the steps of the linear ones, by node index.
#[derive(Clone, Debug)]
pub struct Layouts {
    /// The layout of each node.
    pub of: Vec<Layout>,
    /// How each linear node is evaluated.
    pub transforms: Vec<Option<Transform>>,
}

/// How a linear node is evaluated between its layouts.
#[derive(Clone, Debug)]
pub struct Transform {
    /// Giant and baby steps.
    pub steps: Steps,
    /// Output ciphertexts.
    pub outputs: usize,
    /// Rotations that fold each output.
    pub folds: usize,
}

/// Chooses layouts for one network, for as many rings as are asked for.
pub struct LayoutPlanner<'a> {
    network: &'a Network,
    cost: CostModel,
    classes: Vec<Class>,
    /// Of each node.
    class_of: Vec<usize>,
    linears: HashMap<NodeIndex, Linear>,
    /// What was found of a linear node between layouts. Rings whose slots exceed all periods share it.
    structures: HashMap<Place, Arc<Structure>>,
}

struct Class {
    len: usize,
    shape: Vec<usize>,
    /// Linear nodes whose cost depends on the class.
    linears: Vec<NodeIndex>,
}

struct Linear {
    /// With every non-zero listed: they are visited for every candidate.
    matrices: Vec<Matrix>,
    operands: Vec<NodeIndex>,
}

/// A linear node, the layouts of its operands and of itself, and the log2 of slots where it matters.
type Place = (NodeIndex, Vec<Layout>, u32);

struct Structure {
    diagonals: BTreeSet<Diagonal>,
    folds: usize,
}

impl<'a> LayoutPlanner<'a> {
    /// Prepares a network.
    pub fn new(network: &'a Network, cost: &CostModel) -> Self {
        let mut union = UnionFind::new(network.graph.node_count());
        for node in network.graph.node_indices() {
            if matches!(network.graph[node].op, Op::Activation(_) | Op::Product) {
                for operand in network.operands(node) {
                    union.union(node.index(), operand.index());
                }
            }
        }
        let mut index = HashMap::new();
        let mut classes: Vec<Class> = Vec::new();
        let mut class_of = Vec::new();
        for (node, label) in network.graph.node_indices().zip(union.into_labeling()) {
            let class = *index.entry(label).or_insert_with(|| {
                let shape = network.graph[node].shape.clone();
                classes.push(Class { len: network.graph[node].len(), shape, linears: vec![] });
                classes.len() - 1
            });
            class_of.push(class);
        }
        let mut linears = HashMap::new();
        for node in network.graph.node_indices() {
            if let Op::Linear { matrices, .. } = &network.graph[node].op {
                let operands = network.operands(node);
                let touched = operands.iter().chain([&node]).map(|n| class_of[n.index()]);
                for class in touched.collect::<BTreeSet<_>>() {
                    classes[class].linears.push(node);
                }
                let matrices = matrices.par_iter().map(Matrix::to_sparse).collect();
                linears.insert(node, Linear { matrices, operands });
            }
        }
        Self { network, cost: *cost, classes, class_of, linears, structures: HashMap::new() }
    }

    /// Chooses layouts for ciphertexts of the given parameters.
    pub fn choose(&mut self, parameters: &Parameters) -> Layouts {
        let pricing = Pricing {
            counter: Counter::new(parameters, 0..0),
            cost: self.cost,
            level: parameters.max_level().div_ceil(2).max(1),
            log_slots: parameters.log_n() - 1,
        };
        let mut chosen: Vec<Layout> =
            self.classes.iter().map(|c| Layout::contiguous(c.len)).collect();
        for _ in 0..MAX_SWEEPS {
            let before = chosen.clone();
            for class in 0..chosen.len() {
                let candidates = self.candidates(class, &chosen, pricing.log_slots);
                let mut least = self.seconds(class, &chosen, &pricing);
                for candidate in candidates {
                    let kept = std::mem::replace(&mut chosen[class], candidate);
                    let seconds = self.seconds(class, &chosen, &pricing);
                    if seconds < least * (1.0 - 1e-9) {
                        least = seconds;
                    } else {
                        chosen[class] = kept;
                    }
                }
            }
            if chosen == before {
                break;
            }
        }
        let of = self.class_of.iter().map(|&class| chosen[class].clone()).collect();
        let transform = |node: NodeIndex| {
            self.linears.contains_key(&node).then(|| {
                let structure = self.structure(node, &chosen, pricing.log_slots);
                let outputs = chosen[self.class_of[node.index()]].ciphertexts(pricing.log_slots);
                pricing.best_transform(&structure, outputs)
            })
        };
        Layouts { of, transforms: self.network.graph.node_indices().map(transform).collect() }
    }

    /// Layouts worth trying for a class, given what the others have now.
    fn candidates(&self, class: usize, chosen: &[Layout], log_slots: u32) -> Vec<Layout> {
        let Class { len, ref shape, .. } = self.classes[class];
        let fewest = len.div_ceil(1 << log_slots);
        let mut layouts: Vec<Layout> = Vec::new();
        for layout in shape_layouts(shape) {
            if layout.ciphertexts(log_slots) <= fewest && !layouts.contains(&layout) {
                layouts.push(layout);
            }
        }
        // Neighbours' periods: a longer period can save folds or diagonals.
        let periods: BTreeSet<u32> =
            chosen.iter().map(|l| l.log_period).filter(|&p| p <= log_slots).collect();
        let longer: Vec<Layout> = layouts
            .iter()
            .flat_map(|l| {
                periods
                    .range(l.log_period + 1..)
                    .map(|&log_period| Layout { log_period, ..l.clone() })
            })
            .collect();
        layouts.extend(longer);
        layouts
    }

    /// Cost of the linear nodes that a class touches.
    fn seconds(&mut self, class: usize, chosen: &[Layout], pricing: &Pricing) -> f64 {
        let nodes = &self.classes[class].linears;
        let missing: Vec<NodeIndex> = nodes
            .iter()
            .copied()
            .filter(|&n| !self.structures.contains_key(&self.place(n, chosen, pricing.log_slots)))
            .collect();
        let found: Vec<_> =
            missing.par_iter().map(|&n| self.structure(n, chosen, pricing.log_slots)).collect();
        for (node, structure) in missing.into_iter().zip(found) {
            self.structures.insert(self.place(node, chosen, pricing.log_slots), structure);
        }
        let seconds = |&node: &NodeIndex| {
            let structure = &self.structures[&self.place(node, chosen, pricing.log_slots)];
            let outputs = chosen[self.class_of[node.index()]].ciphertexts(pricing.log_slots);
            pricing.seconds(&pricing.best_transform(structure, outputs))
        };
        self.classes[class].linears.iter().map(seconds).sum()
    }

    fn place(&self, node: NodeIndex, chosen: &[Layout], log_slots: u32) -> Place {
        let nodes = self.linears[&node].operands.iter().chain([&node]);
        let layouts: Vec<Layout> =
            nodes.map(|n| chosen[self.class_of[n.index()]].clone()).collect();
        let longest = layouts.iter().map(|l| l.log_period).max().unwrap_or(0);
        (node, layouts, longest.min(log_slots))
    }

    fn structure(&self, node: NodeIndex, chosen: &[Layout], log_slots: u32) -> Arc<Structure> {
        let place = self.place(node, chosen, log_slots);
        if let Some(known) = self.structures.get(&place) {
            return known.clone();
        }
        let (_, layouts, log_slots) = place;
        let mut first_ciphertext = 0;
        let mut terms = Vec::new();
        for (matrix, layout) in self.linears[&node].matrices.iter().zip(&layouts) {
            terms.push(Term { matrix, layout, first_ciphertext });
            first_ciphertext += layout.ciphertexts(log_slots);
        }
        let output = &layouts[terms.len()];
        let folds = Geometry::new(&terms, output, log_slots).folds().count();
        Arc::new(Structure { diagonals: structure(&terms, output, log_slots), folds })
    }
}

/// What operations cost in one ring, at one level.
struct Pricing<'a> {
    counter: Counter<'a>,
    cost: CostModel,
    level: usize,
    log_slots: u32,
}

impl Pricing<'_> {
    fn seconds(&self, t: &Transform) -> f64 {
        self.cost.seconds(linear(&self.counter, &t.steps, t.outputs, t.folds, self.level))
    }

    fn best_transform(&self, structure: &Structure, outputs: usize) -> Transform {
        let Structure { diagonals, folds } = structure;
        step_widths(diagonals, self.log_slots)
            .map(|step| Transform { steps: Steps::new(diagonals, step), outputs, folds: *folds })
            .min_by(|a, b| self.seconds(a).total_cmp(&self.seconds(b)))
            .expect("there is always the step of one slot")
    }
}

/// Widths of giant steps worth trying: 2^k and 3·2^k up to the largest rotation.
fn step_widths(diagonals: &BTreeSet<Diagonal>, log_slots: u32) -> impl Iterator<Item = u32> {
    let largest = diagonals.iter().map(|d| d.rotation.unsigned_abs()).max().unwrap_or(0);
    let powers = (0..=log_slots + 1).map(|k| 1u32 << k);
    powers.flat_map(|p| [p, 3 * p]).filter(move |&w| w <= 4 * largest + 1).chain([1])
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

#[cfg(test)]
mod tests {
    use super::*;
    use pic_ckks_model::SecurityLevel;
    use pic_ir::function::Function;
    use pic_ir::matrix::{Conv, ConvAxis};
    use pic_ir::network::Node;

    #[test]
    fn candidates_are_injective() {
        for shape in [&[3, 5, 6][..], &[16, 8, 8], &[1, 4, 4], &[5, 7], &[10], &[2, 3, 4, 5]] {
            for layout in shape_layouts(shape) {
                layout.verify().unwrap();
            }
        }
    }

    #[test]
    fn a_strided_convolution_keeps_its_taps_as_diagonals() {
        let mut network = Network::with_input("x", vec![4, 8, 8]);
        let axis = ConvAxis { input: 8, output: 4, kernel: 3, stride: 2, dilation: 1, pad: 1 };
        let conv = Conv {
            out_channels: 4,
            in_channels: 4,
            groups: 1,
            axes: vec![axis; 2],
            weights: vec![1.0; 144],
        };
        let op = Op::Linear { matrices: vec![Matrix::Conv(conv)], bias: None };
        let x = network.input();
        let y = network
            .push(Node { name: "conv".into(), origin: vec![], op, shape: vec![4, 4, 4] }, &[x]);
        let relu = Op::Activation(Function::Relu);
        network.push(
            Node { name: "relu".into(), origin: vec![], op: relu, shape: vec![4, 4, 4] },
            &[y],
        );
        let parameters =
            Parameters::from_bits(12, &[40.0, 30.0], &[45.0], 2, SecurityLevel::Insecure).unwrap();
        let layouts = LayoutPlanner::new(&network, &CostModel::default()).choose(&parameters);
        // 9 taps × 4 rotations of the channels; row-major output would need far more.
        let transform = layouts.transforms[1].as_ref().unwrap();
        assert!(transform.steps.products <= 36, "{} diagonals", transform.steps.products);
        assert_eq!(layouts.of[1], layouts.of[2]);
    }
}
