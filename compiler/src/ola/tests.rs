//! Optimality against exhaustive search, and the time of a large instance.

use super::*;
use proptest::prelude::*;

/// Every outcome (level, time, loss) of a structure entered at a level, without any pruning.
/// Forwards, with each drop of a level spelled out: nothing in common with the solver.
fn outcomes(instance: &Instance, structure: &Structure, level: u32) -> Vec<(u32, f64, f64)> {
    match structure {
        Structure::Step(step) => {
            let mut found = vec![];
            for at in 0..=level {
                for a in &instance.steps[*step] {
                    let end = match a.effect {
                        Effect::Consume(depth) => (depth <= at).then(|| at - depth),
                        Effect::Restore(target) => Some(target),
                    };
                    let end = end.filter(|&end| end <= instance.max_level);
                    if let (Some(&time), Some(end)) = (a.time.get(at as usize), end) {
                        found.push((end, time, a.loss));
                    }
                }
            }
            found
        }
        Structure::Series(parts) => parts.iter().fold(vec![(level, 0.0, 0.0)], |states, part| {
            let follow = |(l, t, e): (u32, f64, f64)| {
                outcomes(instance, part, l).into_iter().map(move |(l, u, f)| (l, t + u, e + f))
            };
            states.into_iter().flat_map(follow).collect()
        }),
        Structure::Parallel(branches) => {
            let mut found = vec![];
            for meet in 0..=instance.max_level {
                let mut sums = vec![(0.0, 0.0)];
                for branch in branches {
                    let ends = outcomes(instance, branch, level);
                    let ends: Vec<_> = ends.into_iter().filter(|&(l, ..)| l >= meet).collect();
                    let add = |(t, e)| ends.iter().map(move |&(_, u, f)| (t + u, e + f));
                    sums = sums.into_iter().flat_map(add).collect();
                }
                found.extend(sums.into_iter().map(|(t, e)| (meet, t, e)));
            }
            found
        }
    }
}

fn exhaustive_front(instance: &Instance) -> Vec<(f64, f64)> {
    let all = outcomes(instance, &instance.structure, instance.max_level);
    let mut points: Vec<_> = all.into_iter().map(|(_, time, loss)| (time, loss)).collect();
    points.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let mut front: Vec<(f64, f64)> = vec![];
    for point in points {
        if front.last().is_none_or(|last| point.1 < last.1) {
            front.push(point);
        }
    }
    front
}

/// Recomputes time and loss of a solution from its choices alone; returns the level it leaves at.
fn replay(
    instance: &Instance,
    structure: &Structure,
    choices: &[Choice],
    level: u32,
    total: &mut (f64, f64),
) -> u32 {
    match structure {
        Structure::Step(step) => {
            let choice = choices[*step];
            assert!(choice.level <= level, "step {step} needs level {}, has {level}", choice.level);
            let alternative = &instance.steps[*step][choice.alternative];
            total.0 += alternative.time[choice.level as usize];
            total.1 += alternative.loss;
            alternative.effect.apply(choice.level).unwrap()
        }
        Structure::Series(parts) => {
            parts.iter().fold(level, |level, part| replay(instance, part, choices, level, total))
        }
        Structure::Parallel(branches) => branches
            .iter()
            .map(|branch| replay(instance, branch, choices, level, total))
            .min()
            .unwrap_or(level),
    }
}

/// Whole numbers, so that sums are exact in any order.
fn alternative(levels: usize) -> impl Strategy<Value = Alternative> {
    let time =
        prop::collection::vec((0u32..30).prop_map(f64::from), levels.saturating_sub(2)..=levels);
    let effect = prop_oneof![
        4 => (0u32..3).prop_map(Effect::Consume),
        1 => (0u32..6).prop_map(Effect::Restore),
    ];
    (effect, 0u32..20, time).prop_map(|(effect, loss, time)| Alternative {
        effect,
        loss: f64::from(loss),
        time,
    })
}

fn shape() -> impl Strategy<Value = Structure> {
    let leaf = prop_oneof![
        4 => Just(Structure::Step(0)),
        1 => Just(Structure::Series(vec![])),
    ];
    leaf.prop_recursive(3, 5, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Structure::Series),
            prop::collection::vec(inner, 1..3).prop_map(Structure::Parallel),
        ]
    })
}

/// Gives every step its own number; returns how many there are.
fn number(structure: &mut Structure, next: &mut usize) {
    match structure {
        Structure::Step(step) => {
            *step = *next;
            *next += 1;
        }
        Structure::Series(parts) | Structure::Parallel(parts) => {
            parts.iter_mut().for_each(|part| number(part, next));
        }
    }
}

fn instance() -> impl Strategy<Value = Instance> {
    (shape(), 1u32..6).prop_flat_map(|(mut structure, max_level)| {
        let mut count = 0;
        number(&mut structure, &mut count);
        let alternatives = prop::collection::vec(alternative(max_level as usize + 1), 1..4);
        prop::collection::vec(alternatives, count).prop_map(move |steps| Instance {
            structure: structure.clone(),
            steps,
            max_level,
        })
    })
}

proptest! {
    #[test]
    fn front_equals_exhaustive_search(instance in instance()) {
        let front = instance.front(0.0).unwrap();
        let found: Vec<_> = front.iter().map(|s| (s.time, s.loss)).collect();
        prop_assert_eq!(found, exhaustive_front(&instance));
        for solution in &front {
            let mut total = (0.0, 0.0);
            replay(&instance, &instance.structure, &solution.choices, solution.input_level, &mut total);
            prop_assert_eq!(total, (solution.time, solution.loss));
        }
    }

    #[test]
    fn thinned_front_keeps_its_promise(instance in instance(), epsilon in 0.01f64..1.0) {
        let thin = instance.front(epsilon).unwrap();
        for (time, loss) in exhaustive_front(&instance) {
            prop_assert!(thin.iter().any(|s| s.time <= time && s.loss <= (1.0 + epsilon) * loss + 1e-9));
        }
    }

    /// Fixing the choices of a point of the front finds that point again.
    #[test]
    fn fixed_choices_are_scheduled_fastest(instance in instance()) {
        for solution in instance.front(0.0).unwrap() {
            let alternatives: Vec<_> = solution.choices.iter().map(|c| Some(c.alternative)).collect();
            let again = instance.fastest(&alternatives).unwrap().unwrap();
            prop_assert_eq!((again.time, again.loss), (solution.time, solution.loss));
            let same = again.choices.iter().map(|c| Some(c.alternative)).eq(alternatives);
            prop_assert!(same);
        }
    }
}

#[test]
fn a_branch_waits_at_the_level_where_both_meet() {
    let step = |depth, time: [f64; 4]| {
        vec![Alternative { effect: Effect::Consume(depth), loss: 0.0, time: time.to_vec() }]
    };
    // Two levels beside a wire, then a step that is dear at level 1 and cheap at level 0.
    let instance = Instance {
        structure: Structure::Series(vec![
            Structure::Parallel(vec![Structure::Step(0), Structure::Series(vec![])]),
            Structure::Step(1),
        ]),
        steps: vec![step(2, [0.0, 0.0, 5.0, 7.0]), step(0, [1.0, 10.0, 10.0, 10.0])],
        max_level: 3,
    };
    let front = instance.front(0.0).unwrap();
    assert_eq!(front.len(), 1);
    assert_eq!((front[0].time, front[0].input_level), (6.0, 2));
    assert_eq!(front[0].choices[1], Choice { alternative: 0, level: 0 });
}

#[test]
fn malformed_instances_are_refused() {
    let sound = Instance {
        structure: Structure::Step(0),
        steps: vec![vec![Alternative { effect: Effect::Consume(0), loss: 1.0, time: vec![1.0] }]],
        max_level: 0,
    };
    assert_eq!(sound.front(0.0).unwrap().len(), 1);
    assert_eq!(sound.front(-1.0), Err(InstanceError::Epsilon(-1.0)));
    let twice = Structure::Series(vec![Structure::Step(0), Structure::Step(0)]);
    let refused = Instance { structure: twice, ..sound.clone() };
    assert_eq!(refused.front(0.0), Err(InstanceError::Occurrences { step: 0, occurrences: 2 }));
    let refused = Instance { structure: Structure::Step(1), ..sound.clone() };
    assert_eq!(refused.front(0.0), Err(InstanceError::UnknownStep { step: 1, steps: 1 }));
    let mut refused = sound;
    refused.steps[0][0].loss = f64::NAN;
    assert_eq!(refused.front(0.0), Err(InstanceError::Cost { step: 0, alternative: 0 }));
}

/// Layers of 30 alternatives, degrees 2 to 31, in a ladder of levels as a network has them:
/// depth ⌈log2(d + 1)⌉, time by products and level, losses that fall as a fit's error does.
fn ladder(structure: Structure, layers: usize) -> Instance {
    let layer = |i: usize| {
        let alternative = |d: u32| {
            let wobble = 1.0 + 0.13 * ((i * 31 + d as usize * 17) % 11) as f64;
            let products = wobble * f64::from(2 * d).sqrt();
            Alternative {
                effect: Effect::Consume((d + 1).next_power_of_two().trailing_zeros()),
                loss: wobble * (1.0 + i as f64) / libm::pow(f64::from(d), 3.0),
                time: (0..=80).map(|level| products * (1.0 + f64::from(level))).collect(),
            }
        };
        (2..32).map(alternative).collect()
    };
    Instance { structure, steps: (0..layers).map(layer).collect(), max_level: 80 }
}

/// Each takes well under a second when optimised; the bounds leave room for busy machines.
#[test]
fn twenty_layers_of_thirty_alternatives() {
    let chain = Structure::Series((0..20).map(Structure::Step).collect());
    let block = |i: usize| {
        let body = Structure::Series(vec![Structure::Step(i), Structure::Step(i + 1)]);
        Structure::Parallel(vec![body, Structure::Series(vec![])])
    };
    let residual = Structure::Series((0..10).map(|i| block(2 * i)).collect());
    for (structure, epsilon) in [(chain.clone(), 0.0), (chain, 0.01), (residual, 0.01)] {
        let started = std::time::Instant::now();
        let front = ladder(structure, 20).front(epsilon).unwrap();
        println!("epsilon {epsilon}: {} points in {:?}", front.len(), started.elapsed());
        assert!(front.is_sorted_by(|a, b| a.time < b.time && a.loss > b.loss));
        assert!(started.elapsed().as_secs() < 10);
    }
}
