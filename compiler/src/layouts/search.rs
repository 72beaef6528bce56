//! Search for the layouts of all classes with the least total cost.
//!
//! Classes of one shape form a *group*: mostly, a stage of the network. Three kinds of moves
//! alternate. *Runs*, classes of a group that follow each other in the network, are given the
//! candidate that is best for them; single classes alone would not do, as residual sums tie many to
//! each other. All groups together get one candidate each, by a shortest path. Neighbours get the
//! best pair. The optimum is not guaranteed; tests compare with exhaustive search.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use pic_ir::layout::Layout;
use rayon::prelude::*;

use super::candidates::candidates;
use super::pricing::{Price, Pricing};
use super::{LayoutPlanner, LinearNode};

/// Largest number of sweeps over all moves.
const MAX_SWEEPS: usize = 6;

/// Largest ratio of the costs after and before a move that counts as an improvement, so that rounding does not keep
/// the search going.
const BETTER: f64 = 1.0 - 1e-9;

/// A search among the candidates of each class. An assignment of layouts is a list of indices of
/// `layouts`, one for each class.
pub(super) struct Search<'a> {
    planner: &'a LayoutPlanner,
    pricing: &'a Pricing<'a>,
    groups: Vec<Group>,
    layouts: Vec<Layout>,
    known: Mutex<HashMap<Place, Price>>,
}

/// All classes of one shape, in the order of the network.
struct Group {
    classes: Vec<usize>,
    /// Indices of [`Search::layouts`].
    candidates: Vec<usize>,
    /// The linear nodes that depend on this group and on no later one.
    linears: BTreeSet<usize>,
}

/// Key of a linear node's price: matrices and layouts of its operands, and its own layout.
type Place = (Vec<(usize, usize)>, usize);

impl<'a> Search<'a> {
    /// Groups the classes of a network by shape and lists the candidate layouts of each group; nothing is priced yet.
    pub fn new(planner: &'a LayoutPlanner, pricing: &'a Pricing<'a>) -> Self {
        let len = |shape: &[usize]| shape.iter().product();
        let periods = planner.classes.iter().map(|c| Layout::contiguous(len(&c.shape)).log_period);
        let periods: BTreeSet<u32> = periods.collect();
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of = Vec::new();
        let mut layouts = Vec::new();
        for (class, of_class) in planner.classes.iter().enumerate() {
            let shape = |group: &Group| &planner.classes[group.classes[0]].shape;
            let group = groups.iter().position(|g| *shape(g) == of_class.shape);
            group_of.push(group.unwrap_or(groups.len()));
            if let Some(group) = group {
                groups[group].classes.push(class);
                continue;
            }
            let first = layouts.len();
            layouts.extend(candidates(&of_class.shape, &periods, pricing.log_slots));
            let candidates = (first..layouts.len()).collect();
            groups.push(Group { classes: vec![class], candidates, linears: BTreeSet::new() });
        }
        for (index, linear) in planner.linears.iter().enumerate() {
            let operands = linear.terms.iter().map(|&(_, operand)| group_of[operand]);
            let last = operands.fold(group_of[linear.class], usize::max);
            groups[last].linears.insert(index);
        }
        Self { planner, pricing, groups, layouts, known: Mutex::default() }
    }

    /// The best layouts found, by class.
    pub fn best(&self) -> Vec<Layout> {
        let mut chosen = vec![0; self.planner.classes.len()];
        for group in &self.groups {
            group.classes.iter().for_each(|&class| chosen[class] = group.candidates[0]);
        }
        for _ in 0..MAX_SWEEPS {
            let before = chosen.clone();
            for group in &self.groups {
                for length in (1..=group.classes.len()).rev() {
                    for run in group.classes.windows(length) {
                        self.improve_run(&mut chosen, run, &group.candidates);
                    }
                }
            }
            self.improve_groups(&mut chosen);
            for pair in self.planner.neighbours() {
                self.improve_pair(&mut chosen, pair);
            }
            if chosen == before {
                break;
            }
        }
        chosen.into_iter().map(|index| self.layouts[index].clone()).collect()
    }

    /// Gives the classes of a run the candidate that is best for the run.
    fn improve_run(&self, chosen: &mut [usize], run: &[usize], candidates: &[usize]) {
        let classes = run.iter().map(|&class| &self.planner.classes[class]);
        let linears: BTreeSet<usize> = classes.flat_map(|c| c.linears.iter().copied()).collect();
        let now = self.seconds(&linears, chosen, f64::INFINITY);
        let moved = |&candidate: &usize| {
            let mut moved = chosen.to_vec();
            run.iter().for_each(|&class| moved[class] = candidate);
            (self.seconds(&linears, &moved, now), candidate)
        };
        let tried: Vec<_> = candidates.par_iter().map(moved).collect();
        if let Some((seconds, candidate)) = tried.into_iter().min_by(|a, b| a.0.total_cmp(&b.0))
            && seconds < now * BETTER
        {
            run.iter().for_each(|&class| chosen[class] = candidate);
        }
    }

    /// Gives each group one candidate, if that is better: a shortest path from group to group, the
    /// best of its kind where linear nodes join no more than a group and the one before it.
    fn improve_groups(&self, chosen: &mut Vec<usize>) {
        let all: BTreeSet<usize> = (0..self.planner.linears.len()).collect();
        let now = self.seconds(&all, chosen, f64::INFINITY);
        // Seconds of the groups so far and an assignment, for each candidate of the last group.
        let mut paths = vec![(0.0, chosen.clone())];
        for group in &self.groups {
            let shortest = |&candidate: &usize| {
                let mut best = (now, None);
                for (before, layouts) in paths.iter().take_while(|path| path.0 < now) {
                    let mut layouts = layouts.clone();
                    group.classes.iter().for_each(|&class| layouts[class] = candidate);
                    let seconds = before + self.seconds(&group.linears, &layouts, best.0 - before);
                    if seconds < best.0 {
                        best = (seconds, Some(layouts));
                    }
                }
                best.1.map(|layouts| (best.0, layouts))
            };
            paths = group.candidates.par_iter().filter_map(shortest).collect();
            paths.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        if let Some((_, layouts)) = paths.into_iter().next()
            && self.seconds(&all, &layouts, now) < now * BETTER
        {
            *chosen = layouts;
        }
    }

    /// Gives two classes the candidates that are best for both together.
    fn improve_pair(&self, chosen: &mut [usize], (a, b): (usize, usize)) {
        let linears = |class: usize| self.planner.classes[class].linears.iter().copied().collect();
        let (of_a, of_b): (BTreeSet<usize>, BTreeSet<usize>) = (linears(a), linears(b));
        let joint = of_a.intersection(&of_b).copied().collect();
        let now = self.seconds(&(&of_a | &of_b), chosen, f64::INFINITY);
        let alone = |class, linears: BTreeSet<usize>| {
            let group = self.groups.iter().find(|g| g.classes.contains(&class));
            let candidates = &group.expect("every class has a group").candidates;
            let seconds = |&candidate: &usize| {
                let mut moved = chosen.to_vec();
                moved[class] = candidate;
                (self.seconds(&linears, &moved, now), candidate)
            };
            candidates.par_iter().map(seconds).collect::<Vec<_>>()
        };
        let (with_a, with_b) = (alone(a, &of_a - &of_b), alone(b, &of_b - &of_a));
        let best_with = |&(seconds_a, candidate_a): &(f64, usize)| {
            let mut moved = chosen.to_vec();
            moved[a] = candidate_a;
            let mut best = (now, None);
            for &(seconds_b, candidate_b) in &with_b {
                let apart = seconds_a + seconds_b;
                if apart < best.0 {
                    moved[b] = candidate_b;
                    let seconds = apart + self.seconds(&joint, &moved, best.0 - apart);
                    if seconds < best.0 {
                        best = (seconds, Some((candidate_a, candidate_b)));
                    }
                }
            }
            best
        };
        let tried: Vec<_> = with_a.par_iter().map(best_with).collect();
        if let Some((seconds, Some(pair))) = tried.into_iter().min_by(|x, y| x.0.total_cmp(&y.0))
            && seconds < now * BETTER
        {
            (chosen[a], chosen[b]) = pair;
        }
    }

    /// Sum of the seconds of some linear nodes. If it exceeds `limit`, a lower bound is returned.
    fn seconds(&self, linears: &BTreeSet<usize>, chosen: &[usize], limit: f64) -> f64 {
        let mut sum = 0.0;
        for &linear in linears {
            sum += self.price(&self.planner.linears[linear], chosen, limit - sum);
            if sum > limit {
                break;
            }
        }
        sum
    }

    /// Seconds of one linear node. If they exceed `limit`, a lower bound is returned.
    fn price(&self, linear: &LinearNode, chosen: &[usize], limit: f64) -> f64 {
        let terms = linear.terms.iter().map(|&(matrix, operand)| (matrix, chosen[operand]));
        let place: Place = (terms.collect(), chosen[linear.class]);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(price) = known().get(&place)
            && (price.is_exact || price.seconds > limit)
        {
            return price.seconds;
        }
        let term = |&(m, l): &(usize, usize)| (&self.planner.matrices[m], &self.layouts[l]);
        let terms: Vec<_> = place.0.iter().map(term).collect();
        let price = self.pricing.price(&terms, &self.layouts[place.1], limit);
        known().insert(place, price);
        price.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pic_ckks_model::{Parameters, SecurityLevel};
    use pic_ir::cost::{CostModel, Target};
    use pic_ir::function::Function;
    use pic_ir::matrix::{Conv, ConvAxis, Matrix};
    use pic_ir::network::{Network, Node, Op};

    fn conv(from: &[usize], channels: usize, stride: usize) -> Matrix {
        let axis = |input: usize| ConvAxis {
            input,
            output: input.div_ceil(stride),
            kernel: 3,
            stride,
            dilation: 1,
            pad: 1,
        };
        Matrix::Conv(Conv {
            out_channels: channels,
            in_channels: from[0],
            groups: 1,
            axes: from[1..].iter().map(|&n| axis(n)).collect(),
            weights: vec![1.0; channels * from[0] * 9],
        })
    }

    /// Convolutions with activations between them, each given by its channels and stride, and by
    /// whether its operand is added to the result.
    fn convolutions(input: &[usize], layers: &[(usize, usize, bool)]) -> Network {
        let mut network = Network::with_input("x", input.to_vec());
        let (mut x, mut shape) = (network.input(), input.to_vec());
        for (k, &(channels, stride, is_residual)) in layers.iter().enumerate() {
            let (mut matrices, mut operands) = (vec![conv(&shape, channels, stride)], vec![x]);
            shape = [channels, shape[1].div_ceil(stride), shape[2].div_ceil(stride)].to_vec();
            if is_residual {
                matrices.push(Matrix::identity(shape.iter().product()));
                operands.push(x);
            }
            let mut push = |name, op, operands: &[_]| {
                let name = format!("{name}{k}");
                network.push(Node { name, provenance: vec![], op, shape: shape.clone() }, operands)
            };
            let sum = push("sum", Op::Linear { matrices, bias: None }, &operands);
            x = push("relu", Op::Activation(Function::Relu), &[sum]);
        }
        network.verify().unwrap();
        network
    }

    /// The least cost of all assignments that begin with the given ones.
    fn least(search: &Search, chosen: &mut Vec<usize>, class: usize, cost: f64, limit: f64) -> f64 {
        let Some(group) = search.groups.iter().find(|g| g.classes.contains(&class)) else {
            return cost.min(limit);
        };
        // Linear nodes whose last class this is.
        let linears = search.planner.linears.iter().enumerate();
        let is_last =
            |l: &LinearNode| l.terms.iter().map(|t| t.1).chain([l.class]).max() == Some(class);
        let linears: BTreeSet<usize> =
            linears.filter(|(_, l)| is_last(l)).map(|(index, _)| index).collect();
        group.candidates.iter().fold(limit, |limit, &candidate| {
            chosen[class] = candidate;
            let cost = cost + search.seconds(&linears, chosen, limit - cost);
            if cost < limit { least(search, chosen, class + 1, cost, limit) } else { limit }
        })
    }

    #[test]
    fn finds_the_optimum_of_small_networks() {
        let networks = [
            convolutions(&[2, 4, 4], &[(4, 1, false), (8, 2, false), (8, 1, true)]),
            convolutions(&[4, 4, 4], &[(4, 1, true), (4, 1, true), (8, 2, false)]),
            convolutions(&[1, 8, 8], &[(4, 2, false), (8, 2, false), (8, 1, true)]),
            convolutions(&[3, 6, 6], &[(5, 2, false), (5, 1, true), (7, 2, false)]),
        ];
        for (network, log_n) in networks.iter().flat_map(|n| [(n, 7), (n, 11)]) {
            let moduli = [40.0, 30.0];
            let insecure = SecurityLevel::Insecure;
            let parameters = Parameters::from_bits(log_n, &moduli, &[45.0], 2, insecure).unwrap();
            let cost = CostModel::of(Target::REFERENCE);
            let planner = LayoutPlanner::new(network, &cost);
            let pricing = Pricing::new(cost, &parameters, 1);
            let search = Search::new(&planner, &pricing);
            let all: BTreeSet<usize> = (0..planner.linears.len()).collect();
            let found = search.best();
            let index = |layout| search.layouts.iter().position(|l| l == layout).unwrap();
            let found: Vec<usize> = found.iter().map(index).collect();
            let found = search.seconds(&all, &found, f64::INFINITY);
            let mut chosen = vec![0; planner.classes.len()];
            let optimum = least(&search, &mut chosen, 0, 0.0, f64::INFINITY);
            assert!(
                found <= optimum * (1.0 + 1e-6),
                "2^{log_n}: {found} s, not {optimum} s\n{network}"
            );
        }
    }
}
