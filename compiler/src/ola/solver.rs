//! The Pareto front of an instance, by dynamic programming backwards over its structure.
//!
//! # Strategy
//! Backwards over the structure, `V(i, level)` is the Pareto front (time, loss) of everything from
//! step i on when its input stands at `level`:
//! `V(i, l) = V(i, l−1) ∪ ⋃_alternatives (time[l], loss) + V(i+1, l')`, where the first term drops a level,
//! which is free, and l' is l less the depth, or the level restored. Branches of a parallel part share the level
//! they start from and the level m they meet at: each is solved for every m on its own, and
//! `V(l) = V(l−1) ∪ ⋃_m (branch_1(l, m) + branch_2(l, m) + … + V(m))`, where m can be above l if branches
//! restore levels.
//! Both objectives are additive, so discarding dominated points at every stage loses nothing.

use std::ops::Range;

use super::{Choice, Instance, Solution, StepId, Structure};

/// The front of a verified instance, thinned by `epsilon` as [`Instance::front`] says.
pub(super) fn front(instance: &Instance, epsilon: f64) -> Vec<Solution> {
    let stages = stages(&instance.structure).max(1);
    let slack = libm::pow(1.0 + epsilon, 1.0 / stages as f64);
    let mut solver = Solver { instance, slack, decisions: vec![] };
    let ends = solver.ends(0);
    let fronts = solver.solve(&instance.structure, ends);
    let highest = fronts.last().expect("level 0 always exists");
    highest.iter().map(|point| solver.solution(point)).collect()
}

/// A bound on how often the points of one front are thinned on their way to the result.
fn stages(structure: &Structure) -> usize {
    match structure {
        Structure::Step(_) => 1,
        Structure::Series(parts) => parts.iter().map(stages).sum(),
        Structure::Parallel(parts) => 1 + parts.iter().map(stages).sum::<usize>(),
    }
}

/// A point of a front: time and loss of everything from a place in the structure to the end, with the decision
/// behind it.
#[derive(Clone, Copy, Debug)]
struct Point<D> {
    time: f64,
    loss: f64,
    /// Level at which the next step starts; it may be lower than the level of the front.
    level: u32,
    decision: D,
}

/// Points in ascending order of time and strictly descending order of loss.
type Front<D> = Vec<Point<D>>;

/// Index of a decision.
type DecisionId = u32;

#[derive(Clone, Copy, Debug)]
enum Decision {
    Nothing,
    Step { step: StepId, choice: Choice, rest: DecisionId },
    Both(DecisionId, DecisionId),
}

struct Solver<'a> {
    instance: &'a Instance,
    /// Largest ratio between the loss of a point and that of a slower point that it replaces.
    slack: f64,
    /// Decisions refer to earlier ones, so that the points of a front share their tails.
    decisions: Vec<Decision>,
}

impl Solver<'_> {
    /// Fronts by level of what follows a structure that must end at level `end`: nothing.
    fn ends(&mut self, end: u32) -> Vec<Front<DecisionId>> {
        let decision = self.record(Decision::Nothing);
        let point = Point { time: 0.0, loss: 0.0, level: end, decision };
        let front = |level| if level >= end { vec![point] } else { vec![] };
        (0..=self.instance.max_level).map(front).collect()
    }

    /// From the fronts behind a structure, by level, to those in front of it.
    ///
    /// Fronts include the points of lower levels, because levels can be dropped.
    fn solve(
        &mut self,
        structure: &Structure,
        behind: Vec<Front<DecisionId>>,
    ) -> Vec<Front<DecisionId>> {
        match structure {
            Structure::Step(step) => self.solve_step(*step, &behind),
            Structure::Series(parts) => {
                parts.iter().rev().fold(behind, |behind, part| self.solve(part, behind))
            }
            Structure::Parallel(branches) => self.solve_parallel(branches, &behind),
        }
    }

    fn solve_step(&mut self, step: StepId, behind: &[Front<DecisionId>]) -> Vec<Front<DecisionId>> {
        let alternatives = &self.instance.steps[step];
        let mut fronts: Vec<Front<DecisionId>> = vec![];
        for level in 0..behind.len() {
            let shifted = |k: usize| {
                let alternative = &alternatives[k];
                let time = alternative.time.get(level).filter(|t| t.is_finite());
                let left = alternative.effect.apply(level as u32);
                let left = left.and_then(|left| behind.get(left as usize));
                let (Some(&time), Some(behind)) = (time, left) else { return vec![] };
                let shift = |p: &Point<DecisionId>| Point {
                    time: p.time + time,
                    loss: p.loss + alternative.loss,
                    level: level as u32,
                    decision: (k, p.decision),
                };
                behind.iter().map(shift).collect()
            };
            let fresh = union(0..alternatives.len(), &shifted);
            let decide = |(alternative, rest)| Decision::Step {
                step,
                choice: Choice { alternative, level: level as u32 },
                rest,
            };
            let front = self.finish(fronts.last(), fresh, decide);
            fronts.push(front);
        }
        fronts
    }

    fn solve_parallel(
        &mut self,
        branches: &[Structure],
        behind: &[Front<DecisionId>],
    ) -> Vec<Front<DecisionId>> {
        let both = |(a, b)| Decision::Both(a, b);
        // Fronts of all branches together, by meeting level, then by starting level.
        let mut together: Vec<Vec<Front<DecisionId>>> = vec![];
        for meet in 0..behind.len() {
            // The meeting level can be above the starting level, because branches can restore levels.
            let mut sums = self.ends(0);
            for branch in branches {
                let ends = self.ends(meet as u32);
                let fronts = self.solve(branch, ends);
                for (level, (sum, front)) in sums.iter_mut().zip(fronts).enumerate() {
                    let pairs = add(sum, &front, level as u32);
                    *sum = pairs.into_iter().map(|p| self.decide(p, both)).collect();
                }
            }
            together.push(sums);
        }
        let mut fronts: Vec<Front<DecisionId>> = vec![];
        for level in 0..=self.instance.max_level {
            let meeting = |meet: usize| {
                // Branches that meet higher only to drop a level could as well meet lower.
                let next = behind[meet].iter().filter(|p| p.level == meet as u32).copied();
                add(&together[meet][level as usize], &next.collect(), level)
            };
            let fresh = union(0..behind.len(), &meeting);
            let front = self.finish(fronts.last(), fresh, both);
            fronts.push(front);
        }
        fronts
    }

    /// Thins fresh points and joins them with those that drop a level first.
    ///
    /// Later only points that are better in both objectives displace them, so losses are rounded
    /// once per stage, however many levels are dropped.
    fn finish<D: Copy>(
        &mut self,
        lower: Option<&Front<DecisionId>>,
        mut fresh: Front<D>,
        decide: impl Fn(D) -> Decision,
    ) -> Front<DecisionId> {
        if self.slack > 1.0 {
            let mut kept = f64::INFINITY;
            fresh.retain(|point| {
                let needed = kept > self.slack * point.loss;
                kept = if needed { point.loss } else { kept };
                needed
            });
        }
        let dropping = lower.into_iter().flatten().map(|p| p.map(Ok)).collect();
        let front = merge(dropping, fresh.into_iter().map(|p| p.map(Err)).collect());
        let record = |point: Point<Result<DecisionId, D>>| match point.decision {
            Ok(decision) => point.map(|_| decision),
            Err(choice) => self.decide(point.map(|_| choice), &decide),
        };
        front.into_iter().map(record).collect()
    }

    fn decide<D>(&mut self, point: Point<D>, decide: impl Fn(D) -> Decision) -> Point<DecisionId> {
        point.map(|decision| self.record(decide(decision)))
    }

    fn record(&mut self, decision: Decision) -> DecisionId {
        self.decisions.push(decision);
        DecisionId::try_from(self.decisions.len() - 1).expect("2^32 decisions exceed any memory")
    }

    fn solution(&self, point: &Point<DecisionId>) -> Solution {
        let mut choices = vec![Choice::default(); self.instance.steps.len()];
        let mut open = vec![point.decision];
        while let Some(decision) = open.pop() {
            match self.decisions[decision as usize] {
                Decision::Nothing => {}
                Decision::Step { step, choice, rest } => {
                    choices[step] = choice;
                    open.push(rest);
                }
                Decision::Both(a, b) => open.extend([a, b]),
            }
        }
        Solution { time: point.time, loss: point.loss, input_level: point.level, choices }
    }
}

impl<D> Point<D> {
    fn map<E>(self, f: impl FnOnce(D) -> E) -> Point<E> {
        Point { time: self.time, loss: self.loss, level: self.level, decision: f(self.decision) }
    }
}

/// Every sum of a point of `a` and one of `b`, as a front.
fn add(
    a: &Front<DecisionId>,
    b: &Front<DecisionId>,
    level: u32,
) -> Front<(DecisionId, DecisionId)> {
    union(0..a.len(), &|k: usize| {
        let sum = |q: &Point<DecisionId>| Point {
            time: a[k].time + q.time,
            loss: a[k].loss + q.loss,
            level,
            decision: (a[k].decision, q.decision),
        };
        b.iter().map(sum).collect()
    })
}

/// The Pareto-optimal points of several lists, each in ascending order of time.
fn union<D: Copy>(range: Range<usize>, list: &impl Fn(usize) -> Vec<Point<D>>) -> Front<D> {
    match range.len() {
        0 => vec![],
        1 => merge(list(range.start), vec![]),
        n => {
            let middle = range.start + n / 2;
            merge(union(range.start..middle, list), union(middle..range.end, list))
        }
    }
}

/// The Pareto-optimal points of two lists, each in ascending order of time; the first wins ties.
fn merge<D: Copy>(a: Vec<Point<D>>, b: Vec<Point<D>>) -> Front<D> {
    let mut merged: Vec<Point<D>> = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    while let Some(point) = match (a.peek(), b.peek()) {
        (Some(p), Some(q)) if (q.time, q.loss) < (p.time, p.loss) => b.next(),
        (None, _) => b.next(),
        _ => a.next(),
    } {
        if merged.last().is_none_or(|last| point.loss < last.loss) {
            // Rounding can make times equal that were not.
            merged.pop_if(|last| last.time == point.time);
            merged.push(point);
        }
    }
    merged
}
