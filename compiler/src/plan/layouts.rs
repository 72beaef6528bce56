//! Chooses where every tensor lies, and the giant steps of every linear node.
//!
//! Nodes joined by activations and products share one layout (a *class*). Candidates are row-major
//! orders, power-of-two pitches, gapped and multiplexed images, channels innermost, and
//! longer periods; the total cost of the linear nodes, each depending on its own class and those of its
//! operands, is minimised by coordinate descent. Levels are not known yet, so costs are taken
//! at one middle level.

use std::collections::{BTreeSet, HashMap};

use petgraph::graph::NodeIndex;
use petgraph::unionfind::UnionFind;
use pic_ckks_model::Parameters;
use pic_ir::cost::{CostModel, Counter};
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

/// Chooses layouts for ciphertexts of the given parameters.
pub fn choose_layouts(network: &Network, parameters: &Parameters, cost: &CostModel) -> Layouts {
    let planner = Planner::new(network, parameters, cost);
    let mut chosen: Vec<Layout> =
        planner.classes.iter().map(|c| Layout::contiguous(c.len)).collect();
    let mut cache = HashMap::new();
    for _ in 0..MAX_SWEEPS {
        let mut improved = false;
        for class in 0..chosen.len() {
            let candidates = planner.candidates(class, &chosen);
            let costs: Vec<f64> = candidates
                .iter()
                .map(|c| planner.cost_with(class, c, &chosen, &mut cache))
                .collect();
            let current = planner.cost_with(class, &chosen[class].clone(), &chosen, &mut cache);
            let best = (0..costs.len()).min_by(|&a, &b| costs[a].total_cmp(&costs[b]));
            if let Some(best) = best.filter(|&b| costs[b] < current * (1.0 - 1e-9)) {
                chosen[class] = candidates[best].clone();
                improved = true;
            }
        }
        if !improved {
            break;
        }
    }
    let of: Vec<Layout> = planner.class_of.iter().map(|&c| chosen[c].clone()).collect();
    let transforms = network.graph.node_indices().map(|n| planner.transform(n, &of)).collect();
    Layouts { of, transforms }
}

struct Class {
    len: usize,
    shape: Vec<usize>,
    /// Linear nodes whose cost depends on the class.
    linears: Vec<NodeIndex>,
}

struct Planner<'a> {
    network: &'a Network,
    log_slots: u32,
    counter: Counter<'a>,
    cost: &'a CostModel,
    level: usize,
    class_of: Vec<usize>,
    classes: Vec<Class>,
}

type Cache = HashMap<(NodeIndex, Vec<String>), f64>;

impl<'a> Planner<'a> {
    fn new(network: &'a Network, parameters: &'a Parameters, cost: &'a CostModel) -> Self {
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
        for node in network.graph.node_indices() {
            if matches!(network.graph[node].op, Op::Linear { .. }) {
                let own = class_of[node.index()];
                let of_operands = network.operands(node).into_iter().map(|o| class_of[o.index()]);
                for class in of_operands.chain([own]).collect::<BTreeSet<_>>() {
                    classes[class].linears.push(node);
                }
            }
        }
        Self {
            network,
            log_slots: parameters.log_n() - 1,
            counter: Counter { parameters },
            cost,
            level: parameters.max_level().div_ceil(2).max(1),
            class_of,
            classes,
        }
    }

    /// Layouts worth trying for a class, given what the others have now.
    fn candidates(&self, class: usize, chosen: &[Layout]) -> Vec<Layout> {
        let Class { len, ref shape, .. } = self.classes[class];
        let fewest = len.div_ceil(1 << self.log_slots);
        let mut layouts: Vec<Layout> = Vec::new();
        for layout in shape_layouts(shape) {
            if layout.ciphertexts(self.log_slots) <= fewest && !layouts.contains(&layout) {
                layouts.push(layout);
            }
        }
        // Neighbours' periods: a longer period can save folds or diagonals.
        let periods: BTreeSet<u32> =
            chosen.iter().map(|l| l.log_period).filter(|&p| p <= self.log_slots).collect();
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

    /// Cost of the linear nodes that a class touches, if it had `layout`.
    fn cost_with(
        &self,
        class: usize,
        layout: &Layout,
        chosen: &[Layout],
        cache: &mut Cache,
    ) -> f64 {
        let layout_of = |c: usize| if c == class { layout } else { &chosen[c] };
        let nodes = &self.classes[class].linears;
        let key = |&node: &NodeIndex| {
            let operands = self.network.operands(node);
            let classes = operands.iter().chain([&node]).map(|n| self.class_of[n.index()]);
            (node, classes.map(|c| layout_of(c).to_string()).collect::<Vec<_>>())
        };
        let missing: Vec<NodeIndex> =
            nodes.iter().copied().filter(|n| !cache.contains_key(&key(n))).collect();
        let costs: Vec<f64> = missing
            .par_iter()
            .map(|&node| {
                let (matrices, operands) = self.linear(node).expect("classes list linear nodes");
                let layouts: Vec<&Layout> =
                    operands.iter().map(|o| layout_of(self.class_of[o.index()])).collect();
                let output = layout_of(self.class_of[node.index()]);
                self.seconds(&self.best_transform(matrices, &layouts, output))
            })
            .collect();
        for (node, cost) in missing.iter().zip(costs) {
            cache.insert(key(node), cost);
        }
        nodes.iter().map(|n| cache[&key(n)]).sum()
    }

    fn linear(&self, node: NodeIndex) -> Option<(&'a [Matrix], Vec<NodeIndex>)> {
        match &self.network.graph[node].op {
            Op::Linear { matrices, .. } => Some((matrices, self.network.operands(node))),
            _ => None,
        }
    }

    fn transform(&self, node: NodeIndex, layouts: &[Layout]) -> Option<Transform> {
        let (matrices, operands) = self.linear(node)?;
        let of_operands: Vec<&Layout> = operands.iter().map(|o| &layouts[o.index()]).collect();
        Some(self.best_transform(matrices, &of_operands, &layouts[node.index()]))
    }

    fn seconds(&self, t: &Transform) -> f64 {
        self.cost.seconds(self.counter.linear(&t.steps, t.outputs, t.folds, self.level))
    }

    fn best_transform(
        &self,
        matrices: &[Matrix],
        operands: &[&Layout],
        output: &Layout,
    ) -> Transform {
        let mut first_ciphertext = 0;
        let mut terms = Vec::new();
        for (matrix, layout) in matrices.iter().zip(operands) {
            terms.push(Term { matrix, layout, first_ciphertext });
            first_ciphertext += layout.ciphertexts(self.log_slots);
        }
        let diagonals = structure(&terms, output, self.log_slots);
        let folds = Geometry::new(&terms, output, self.log_slots).folds().count();
        let outputs = output.ciphertexts(self.log_slots);
        step_widths(&diagonals, self.log_slots)
            .map(|step| Transform { steps: Steps::new(&diagonals, step), outputs, folds })
            .min_by(|a, b| self.seconds(a).total_cmp(&self.seconds(b)))
            .expect("there is always the step of all slots")
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
        let layouts = choose_layouts(&network, &parameters, &CostModel::default());
        // 9 taps × 4 rotations of the channels; row-major output would need far more.
        let transform = layouts.transforms[1].as_ref().unwrap();
        assert!(transform.steps.products <= 36, "{} diagonals", transform.steps.products);
        assert_eq!(layouts.of[1], layouts.of[2]);
    }
}
