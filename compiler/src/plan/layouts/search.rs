//! Search for the layouts of all classes that cost least together.
//!
//! Classes of one shape form a *group*: mostly, a stage of the network. Two kinds of moves alternate.
//! All groups together get one candidate each, by a shortest path; then *runs*, classes of a group
//! that follow each other in the network, are given the candidate that is best for them. Single
//! classes alone would not do: residual sums tie many to each other.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use pic_ir::layout::Layout;
use rayon::prelude::*;

use super::candidates::candidates;
use super::pricing::{Price, Pricing};
use super::{LayoutPlanner, Linear};

/// Sweeps over all moves before the search stops even if it still improves.
const MAX_SWEEPS: usize = 6;

/// By how much a move has to improve, so that rounding does not keep the search going.
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

/// What the price of a linear node depends on: matrices and layouts of operands, its own layout.
type Place = (Vec<(usize, usize)>, usize);

impl<'a> Search<'a> {
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
            if chosen == before {
                break;
            }
        }
        chosen.into_iter().map(|index| self.layouts[index].clone()).collect()
    }

    /// Gives a run the candidate that is best for it.
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

    /// Gives each group one candidate, if that is better: a shortest path from group to group, which is
    /// the best of its kind where linear nodes join no more than a group and the one before it.
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

    /// Seconds of some linear nodes; above `limit`, a lower bound.
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

    /// Seconds of a linear node; above `limit`, a lower bound.
    fn price(&self, linear: &Linear, chosen: &[usize], limit: f64) -> f64 {
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
