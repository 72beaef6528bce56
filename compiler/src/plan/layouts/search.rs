//! Search for the layouts of all classes that cost least together.
//!
//! Descent by moves of *runs*: classes of one shape that follow each other in the network are given
//! one candidate together. A single class is a run, and so are all classes of a shape;
//! residual sums, which join classes, make the longer ones necessary.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use pic_ir::layout::Layout;
use rayon::prelude::*;

use super::candidates::candidates;
use super::pricing::Pricing;
use super::{LayoutPlanner, Linear};

/// Sweeps over all runs before the descent stops even if it still improves.
const MAX_SWEEPS: usize = 6;

/// A search among the candidates of each class.
pub(super) struct Search<'a> {
    planner: &'a LayoutPlanner,
    pricing: &'a Pricing<'a>,
    groups: Vec<Group>,
    layouts: Vec<Layout>,
    /// Seconds of linear nodes by what they depend on.
    known: Mutex<HashMap<Place, f64>>,
}

/// All classes of one shape, in the order of the network.
struct Group {
    classes: Vec<usize>,
    /// Indices of [`Search::layouts`].
    candidates: Vec<usize>,
}

/// Matrices and the layouts of their operands, and the layout of the node.
type Place = (Vec<(usize, usize)>, usize);

impl<'a> Search<'a> {
    pub fn new(planner: &'a LayoutPlanner, pricing: &'a Pricing<'a>) -> Self {
        let classes = &planner.classes;
        let shapes = classes.iter().map(|c| &c.shape);
        let shapes: Vec<_> = (0..classes.len())
            .filter(|&c| shapes.clone().take(c).all(|s| *s != classes[c].shape))
            .collect();
        let mut layouts: Vec<Layout> = Vec::new();
        let mut groups = Vec::new();
        let periods: BTreeSet<u32> = classes
            .iter()
            .map(|c| Layout::contiguous(c.shape.iter().product()).log_period)
            .collect();
        for first in shapes {
            let shape = &classes[first].shape;
            let members = (0..classes.len()).filter(|&c| classes[c].shape == *shape).collect();
            let start = layouts.len();
            layouts.extend(candidates(shape, &periods, pricing.log_slots));
            groups.push(Group { classes: members, candidates: (start..layouts.len()).collect() });
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
                        self.improve(&mut chosen, run, &group.candidates);
                    }
                }
            }
            if chosen == before {
                break;
            }
        }
        chosen.into_iter().map(|index| self.layouts[index].clone()).collect()
    }

    /// Gives a run the candidate that is best for it.
    fn improve(&self, chosen: &mut Vec<usize>, run: &[usize], candidates: &[usize]) {
        let linears: BTreeSet<usize> = run
            .iter()
            .flat_map(|&class| self.planner.classes[class].linears.iter().copied())
            .collect();
        let now = self.seconds(&linears, chosen, f64::INFINITY);
        let moved = |&candidate: &usize| {
            let mut moved = chosen.clone();
            run.iter().for_each(|&class| moved[class] = candidate);
            (self.seconds(&linears, &moved, now), candidate)
        };
        let tried: Vec<_> = candidates.par_iter().map(moved).collect();
        let best = tried.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((seconds, candidate)) = best
            && seconds < now * (1.0 - 1e-9)
        {
            run.iter().for_each(|&class| chosen[class] = candidate);
        }
    }

    /// Cost of some linear nodes, or a part of it that is above the limit.
    fn seconds(&self, linears: &BTreeSet<usize>, chosen: &[usize], limit: f64) -> f64 {
        let mut sum = 0.0;
        for &linear in linears {
            sum += self.price(&self.planner.linears[linear], chosen);
            if sum > limit {
                break;
            }
        }
        sum
    }

    fn price(&self, linear: &Linear, chosen: &[usize]) -> f64 {
        let terms = linear.terms.iter().map(|&(matrix, operand)| (matrix, chosen[operand]));
        let place: Place = (terms.collect(), chosen[linear.class]);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&seconds) = known().get(&place) {
            return seconds;
        }
        let term = |&(m, l): &(usize, usize)| (&self.planner.matrices[m], &self.layouts[l]);
        let terms: Vec<_> = place.0.iter().map(term).collect();
        let seconds = self.pricing.seconds(&terms, &self.layouts[place.1]);
        known().insert(place, seconds);
        seconds
    }
}
