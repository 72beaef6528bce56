//! Baseline: the dynamic program of the OLA paper, a chain of layers under one time budget that is divided into
//! ticks. It knows no levels; [`crate::ola::Instance`] does.

/// An alternative for one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Time in any unit, not negative.
    pub time: f64,
    /// Contribution to the objective: sensitivity × error.
    pub loss: f64,
}

/// The candidate of each layer that minimises the summed loss within a time budget, or none if
/// even the fastest do not fit.
///
/// Solves `V(i, k) = min_d V(i−1, k − ⌈T_i(d)/τ⌉) + loss_i(d)` with `τ = budget / ticks`. Times are
/// rounded up to ticks, so the budget is never exceeded; the choice is optimal for the rounded
/// times. Takes `ticks · Σ candidates` steps and `ticks · layers` memory.
pub fn solve(layers: &[Vec<Candidate>], budget: f64, ticks: usize) -> Option<Vec<usize>> {
    let in_ticks = |time: f64| match time {
        0.0 => Some(0),
        _ => {
            let taken = (time * ticks as f64 / budget).ceil();
            (taken <= ticks as f64).then_some(taken as usize)
        }
    };
    // value[k]: least loss of the layers so far within k ticks.
    let mut value = vec![0.0; ticks + 1];
    let mut choices = Vec::with_capacity(layers.len());
    for layer in layers {
        let mut next = vec![f64::INFINITY; ticks + 1];
        let mut choice = vec![None; ticks + 1];
        for (index, candidate) in layer.iter().enumerate() {
            let Some(taken) = in_ticks(candidate.time) else { continue };
            for k in taken..=ticks {
                let loss = value[k - taken] + candidate.loss;
                if loss < next[k] {
                    (next[k], choice[k]) = (loss, Some((index, taken)));
                }
            }
        }
        value = next;
        choices.push(choice);
    }
    let mut k = ticks;
    let mut chosen = Vec::with_capacity(layers.len());
    for choice in choices.iter().rev() {
        let (index, taken) = choice[k]?;
        chosen.push(index);
        k -= taken;
    }
    chosen.reverse();
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cost(layers: &[Vec<Candidate>], chosen: &[usize]) -> (f64, f64) {
        let picked = layers.iter().zip(chosen).map(|(layer, &k)| layer[k]);
        picked.fold((0.0, 0.0), |(t, l), c| (t + c.time, l + c.loss))
    }

    /// Least loss over every choice within the budget.
    fn exhaustive(layers: &[Vec<Candidate>], budget: f64) -> f64 {
        let Some((last, rest)) = layers.split_last() else {
            return if budget >= 0.0 { 0.0 } else { f64::INFINITY };
        };
        last.iter()
            .map(|c| c.loss + exhaustive(rest, budget - c.time))
            .fold(f64::INFINITY, f64::min)
    }

    fn layers() -> impl Strategy<Value = Vec<Vec<Candidate>>> {
        let candidate = (0u32..12, 0u32..50)
            .prop_map(|(t, l)| Candidate { time: f64::from(t), loss: f64::from(l) });
        prop::collection::vec(prop::collection::vec(candidate, 1..5), 1..6)
    }

    proptest! {
        /// Whole numbers and one tick per unit: rounding does nothing, so the answer is exact.
        #[test]
        fn optimal_on_whole_times(layers in layers(), budget in 1usize..40) {
            let expected = exhaustive(&layers, budget as f64);
            match solve(&layers, budget as f64, budget) {
                None => prop_assert_eq!(expected, f64::INFINITY),
                Some(chosen) => {
                    let (time, loss) = cost(&layers, &chosen);
                    prop_assert!(time <= budget as f64);
                    prop_assert_eq!(loss, expected);
                }
            }
        }

        /// Coarse ticks: within the budget, and as good as any choice that fits a budget shorter
        /// by a tick per layer.
        #[test]
        fn rounding_costs_at_most_a_tick_per_layer(layers in layers(), ticks in 5usize..30) {
            let budget = 30.0;
            let shorter = budget - layers.len() as f64 * budget / ticks as f64;
            let expected = exhaustive(&layers, shorter - 1e-9);
            match solve(&layers, budget, ticks) {
                None => prop_assert_eq!(expected, f64::INFINITY),
                Some(chosen) => {
                    let (time, loss) = cost(&layers, &chosen);
                    prop_assert!(time <= budget + 1e-9);
                    prop_assert!(loss <= expected);
                }
            }
        }
    }
}
