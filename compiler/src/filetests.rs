//! Tests of passes by text: each file of `tests/filetests/PASS` has the input of one pass and what
//! it should return.
//!
//! A file has headers, an empty line, the complete text of a network, a line `---`, and the
//! complete text of the network that the pass returns, or the text of its answer. Passes that take
//! polynomials find the complete text of activations behind the network and a line `+++`.
//! `PIC_BLESS=1` writes what passes return into the files. So that a wrong rewrite cannot be
//! blessed, outputs before and after are compared, too.

use std::collections::BTreeMap;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use pic_ckks_model::SecurityLevel;
use pic_ir::activations::Activations;
use pic_ir::cost::{CostModel, Target};
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Op};
use pic_ir::preprocessing::Preprocessing;
use pic_ir::program::{self, Program};

use crate::chain::{HEADROOM_BITS, LeveledParameters, ModulusChain};
use crate::composition::Composed;
use crate::dataset::Dataset;
use crate::layouts::LayoutPlanner;
use crate::levels::{self, Levels};
use crate::lower::lower;
use crate::options::Task;
use crate::plan::plan;
use crate::profile;
use crate::rewrite::eliminate_dead::eliminate_dead;
use crate::rewrite::fuse_activations::fuse_activations;
use crate::rewrite::fuse_linear::fuse_linear;
use crate::rewrite::{canonicalize, equalize, isolate, strip_final};
use crate::sample_networks::{normal_samples, views};

/// Difference that the outputs of equivalent networks may have, relative to one plus the largest
/// element: that of a few constants rounded to f32, which is 2^-24 each.
const TOLERANCE: f64 = 1e-5;

/// Passes whose answer to their own answer is the same.
const IDEMPOTENT: [&str; 3] = ["eliminate-dead", "canonicalize", "isolate"];

/// The values of a file's headers by their names.
type Headers<'a> = BTreeMap<&'a str, &'a str>;

/// The input of a pass.
struct Input<'a> {
    network: Network,
    activations: Activations,
    headers: &'a Headers<'a>,
}

/// The answer of a pass.
enum Answer {
    /// A network that computes the same.
    Rewritten(Network),
    Text(String),
}

/// The passes by the names that headers give them.
fn run(pass: &str, input: &Input) -> Result<Answer, String> {
    let network = &input.network;
    let rewritten = match pass {
        "fuse-activations" => fuse_activations(network),
        "fuse-linear" => fuse_linear(network),
        "eliminate-dead" => eliminate_dead(network),
        "canonicalize" => canonicalize(network),
        "isolate" => isolate(network),
        "equalize" => equalized(input)?,
        "composite" => match Composed::everywhere(network) {
            Ok(composed) => composed.network,
            Err(error) => return Ok(Answer::Text(format!("{error}\n"))),
        },
        "strip-final" => return stripped(input).map(Answer::Text),
        "levels" => return levels(input).map(Answer::Text),
        "lower" => return lowered(input).map(Answer::Text),
        "verify-activations" => {
            return Ok(Answer::Text(verdict(input.activations.verify(network))));
        }
        _ => return Err(format!("there is no pass `{pass}`")),
    };
    Ok(Answer::Rewritten(rewritten))
}

/// Header `samples`: those that the activations' inputs are profiled on.
fn equalized(Input { network, headers, .. }: &Input) -> Result<Network, String> {
    let samples = headers.get("samples").ok_or("no header `samples`")?;
    let samples: Vec<Vec<f32>> = samples.split(';').map(numbers).collect::<Result<_, _>>()?;
    let samples = views(&samples);
    let data = Dataset::new(network, &samples, None).map_err(text)?;
    let layers = profile::inputs(network, &data, &profile::ProfileOptions::default(), &|_, _| {});
    Ok(equalize(network, &layers.map_err(text)?))
}

/// Header `task`, if it is not classification: `regression`.
fn stripped(Input { network, headers, .. }: &Input) -> Result<String, String> {
    let task = match headers.get("task") {
        Some(&"regression") => Task::Regression,
        Some(other) => return Err(format!("there is no task `{other}`")),
        None => Task::Classification,
    };
    let (stripped, postprocessing) = strip_final(network.clone(), task);
    stripped.verify().map_err(text)?;
    let shape = &stripped.graph[stripped.output].shape;
    let after = postprocessing.verify(shape).map_err(text)?;
    if after != network.graph[network.output].shape {
        return Err(format!("the output has another shape: {after:?}\n{stripped}"));
    }
    let functions = [network.activations(), stripped.activations()];
    let run = |network, k: usize, input: &[f64]| {
        output(network, input, |layer, x| functions[k][layer].1.evaluate(x))
    };
    let finished = |input: &[f64]| {
        let logits: Vec<f32> = run(&stripped, 1, input).iter().map(|&x| x as f32).collect();
        postprocessing.apply(shape, &logits).into_iter().map(f64::from).collect()
    };
    compare(network, |input| run(network, 0, input), finished)?;
    let then: String = postprocessing.steps.iter().map(|step| format!("then {step}\n")).collect();
    Ok(format!("{stripped:#}{then}"))
}

/// Header `bootstrapped`: the numbers of the nodes that are.
fn levels(Input { network, activations, headers }: &Input) -> Result<String, String> {
    activations.verify(network).map_err(text)?;
    let bootstrapped: Vec<usize> = numbers(headers.get("bootstrapped").unwrap_or(&""))?;
    let nodes = 0..network.graph.node_count();
    let is_bootstrapped: Vec<bool> = nodes.map(|node| bootstrapped.contains(&node)).collect();
    let levels = levels::levels(network, activations, &is_bootstrapped);
    let line = |(node, Levels { computed, used }): (usize, &Levels)| {
        format!("%{node}: computed at {computed}, used at {used}\n")
    };
    Ok(levels.iter().enumerate().map(line).collect())
}

/// Header `magnitudes`: the largest of each node. Without bootstrapping, at a scale of 2^30.
fn lowered(Input { network, activations, headers }: &Input) -> Result<String, String> {
    activations.verify(network).map_err(text)?;
    let magnitudes: Vec<f64> = numbers(headers.get("magnitudes").ok_or("no header `magnitudes`")?)?;
    let parameters = LeveledParameters {
        log_n: 14,
        log_scale: 30.0,
        log_q0: 30.0 + HEADROOM_BITS,
        digit_size: 1,
        security: SecurityLevel::Bits128,
    };
    let planner = LayoutPlanner::new(network, &CostModel::of(Target::REFERENCE));
    let layouts = planner.choose(&parameters.parameters(4).map_err(text)?, 2);
    let bootstrapped = vec![false; network.graph.node_count()];
    let chain = ModulusChain::Leveled(parameters);
    let plan = plan(network, activations, &layouts, &chain, &bootstrapped, &magnitudes);
    let plan = plan.map_err(text)?;
    plan.verify(network).map_err(text)?;
    let program = lower(network, activations, &plan, Preprocessing::default());
    let program = program.verify_with_required_keys().map_err(text)?;
    let polynomial = |layer: usize, x| activations.layers[layer].evaluate(x);
    let before = |input: &[f64]| output(network, input, polynomial);
    compare(network, before, |input| executed(&program, input))?;
    Ok(program.to_string())
}

fn verdict(verified: Result<(), impl std::error::Error>) -> String {
    verified.map_or_else(|error| format!("{error}\n"), |()| "verified\n".into())
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

fn numbers<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, String> {
    let number = |word: &str| word.parse().map_err(|_| format!("`{word}` is not a number"));
    text.split_whitespace().map(number).collect()
}

#[test]
fn passes_return_what_files_expect() {
    let bless = std::env::var("PIC_BLESS").is_ok_and(|value| value == "1");
    let failure = |path: PathBuf| {
        let outcome = catch_unwind(|| test(&path, bless));
        let error = outcome.unwrap_or_else(|_| Err("a panic".into())).err()?;
        Some(format!("{}: {error}", path.display()))
    };
    let failures: Vec<String> = files().into_iter().filter_map(failure).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// All files, of which every folder has some.
fn files() -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut entries: Vec<PathBuf> = entries.collect();
        assert!(!entries.is_empty(), "{} is empty", folder.display());
        entries.sort_unstable();
        entries
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests");
    entries(&root).iter().flat_map(|folder| entries(folder)).collect()
}

/// Runs the pass of one file.
fn test(path: &Path, bless: bool) -> Result<(), String> {
    let file = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let (given, expected) = match file.split_once("\n---\n") {
        Some(parts) => parts,
        None if bless => (file.trim_end(), ""),
        None => return Err("no line `---` with an expectation".into()),
    };
    let (headers, input) = given.split_once("\n\n").ok_or("no empty line behind the headers")?;
    let headers: Option<Headers> = headers.lines().map(|line| line.split_once(": ")).collect();
    let headers = headers.ok_or("a header has no `: `")?;
    let pass = *headers.get("test").ok_or("no header `test`")?;
    if path.parent().is_none_or(|folder| !folder.ends_with(pass)) {
        return Err(format!("the file of a test of `{pass}` is in another folder"));
    }
    let found = answer(pass, input, &headers)?;
    if bless {
        return fs::write(path, format!("{given}\n---\n{found}")).map_err(|e| e.to_string());
    }
    if found == expected { Ok(()) } else { Err(difference(expected, &found)) }
}

/// The text of a pass's answer, once it is seen that it means the same.
fn answer(pass: &str, input: &str, headers: &Headers) -> Result<String, String> {
    let (network, activations) = input.split_once("\n+++\n").unwrap_or((input, ""));
    let network = pic_ir_text::network(network).map_err(|e| format!("network: {e}"))?;
    let activations = pic_ir_text::activations(activations);
    let activations = activations.map_err(|e| format!("activations: {e}"))?;
    let verified = network.verify();
    if pass == "verify" {
        return Ok(verdict(verified));
    }
    verified.map_err(text)?;
    let input = Input { network, activations, headers };
    match run(pass, &input)? {
        Answer::Text(text) => Ok(text),
        Answer::Rewritten(rewritten) => {
            rewritten.verify().map_err(|e| format!("rewritten: {e}\n{rewritten}"))?;
            let shape = |n: &Network| n.graph[n.output].shape.clone();
            if shape(&input.network) != shape(&rewritten) {
                return Err(format!("the output has another shape\n{rewritten}"));
            }
            let [before, after] = [&input.network, &rewritten].map(|network| {
                let functions = network.activations();
                move |input: &[f64]| output(network, input, |k, x| functions[k].1.evaluate(x))
            });
            compare(&input.network, before, after).map_err(|e| format!("{e}\n{rewritten}"))?;
            Ok(format!("{rewritten:#}"))
        }
    }
}

/// Compares outputs before and after a pass for random inputs of several sizes.
fn compare(
    network: &Network,
    before: impl Fn(&[f64]) -> Vec<f64>,
    after: impl Fn(&[f64]) -> Vec<f64>,
) -> Result<(), String> {
    let samples = normal_samples(12, network.graph[network.input()].len(), 1);
    for (sample, scale) in samples.iter().zip([0.25, 1.0, 4.0, 16.0].into_iter().cycle()) {
        let input: Vec<f64> = sample.iter().map(|&x| scale * f64::from(x)).collect();
        let before = before(&input);
        let largest = before.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        for (x, y) in before.into_iter().zip(after(&input)) {
            // A difference that is not a number is not small, but functions may have no value for an input.
            let is_small = (x - y).abs() <= TOLERANCE * (1.0 + largest);
            let have_no_value = x.is_nan() && y.is_nan();
            if !(is_small || have_no_value) {
                return Err(format!("the output {x} becomes {y} for the input {input:?}"));
            }
        }
    }
    Ok(())
}

/// The output in f64 by the definitions of `pic_ir`, node by node. `activation` has the value of
/// each activation in order.
fn output(network: &Network, input: &[f64], activation: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let (mut values, mut layers): (Vec<Vec<f64>>, _) = (vec![], 0..);
    for node in network.graph.node_indices() {
        let operands = network.operands(node);
        let operands: Vec<&[f64]> = operands.iter().map(|o| &values[o.index()][..]).collect();
        values.push(match &network.graph[node].op {
            Op::Input => input.to_vec(),
            Op::Product => product(operands[0], operands[1]),
            Op::Linear { matrices, bias } => linear(matrices, &operands, bias),
            Op::Activation(_) => {
                let layer = layers.next().expect("endless");
                operands[0].iter().map(|&x| activation(layer, x)).collect()
            }
        });
    }
    values.swap_remove(network.output.index())
}

/// The output of a program in f64, value by value, in real units.
fn executed(program: &Program, input: &[f64]) -> Vec<f64> {
    let mut values: Vec<Vec<f64>> = Vec::new();
    for value in &program.values {
        let real = |id: program::ValueId| &values[id as usize][..];
        values.push(match &value.op {
            program::Op::Input => input.to_vec(),
            program::Op::Bootstrap { operand } => real(*operand).to_vec(),
            program::Op::Product { operands: [a, b] } => product(real(*a), real(*b)),
            program::Op::Linear { operands, matrices, bias, .. } => {
                let operands: Vec<&[f64]> = operands.iter().map(|&o| real(o)).collect();
                linear(matrices, &operands, bias)
            }
            program::Op::Polynomial { operand, coefficients } => {
                let stored = program.values[*operand as usize].normalization();
                let element =
                    |&x: &f64| value.normalization().read(chebyshev(coefficients, stored.store(x)));
                real(*operand).iter().map(element).collect()
            }
        });
    }
    values.pop().expect("a program has an output")
}

fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

fn linear(matrices: &[Matrix], operands: &[&[f64]], bias: &Option<Vec<f32>>) -> Vec<f64> {
    let mut entries = Vec::new();
    let mut element = |row: usize| {
        let mut sum = bias.as_ref().map_or(0.0, |bias| f64::from(bias[row]));
        for (matrix, operand) in matrices.iter().zip(operands) {
            matrix.row(row, &mut entries);
            sum += entries.iter().map(|&(c, w)| w * operand[c as usize]).sum::<f64>();
        }
        sum
    };
    (0..matrices[0].rows()).map(&mut element).collect()
}

/// Σ c_k·T_k(u) by the recurrence of the polynomials.
fn chebyshev(coefficients: &[f64], u: f64) -> f64 {
    let (mut t, mut next, mut sum) = (1.0, u, 0.0);
    for c in coefficients {
        sum += c * t;
        (t, next) = (next, 2.0 * u * next - t);
    }
    sum
}

/// The lines between those that both texts begin and end with.
fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let begin = expected.iter().zip(&found).take_while(same).count();
    let (expected, found) = (&expected[begin..], &found[begin..]);
    let end = expected.iter().rev().zip(found.iter().rev()).take_while(same).count();
    let shown = |sign: char, lines: &[&str]| {
        lines[..lines.len() - end]
            .iter()
            .map(|line| format!("\n  {sign}{line}"))
            .collect::<String>()
    };
    format!(
        "differs in line {} of the answer{}{}",
        begin + 1,
        shown('-', expected),
        shown('+', found)
    )
}

#[test]
fn rewrites_of_random_networks_keep_their_meaning() {
    let constants = [0.0, 0.1, 0.25, 0.5, std::f32::consts::FRAC_1_SQRT_2, 1.0, 2.0, -0.5, -1.0];
    for seed in 0..500 {
        let network = format!("{:#}", pic_ir_text::random::network(seed, &constants));
        for pass in IDEMPOTENT.into_iter().chain(["fuse-activations", "fuse-linear"]) {
            let answer = |input: &str| {
                let failed = |error| panic!("seed {seed}, {pass}: {error}\n{input}");
                answer(pass, input, &Headers::new()).unwrap_or_else(failed)
            };
            let once = answer(&network);
            assert!(!IDEMPOTENT.contains(&pass) || answer(&once) == once, "{pass}: {once}");
        }
    }
}

#[test]
fn imported_networks_are_what_their_complete_texts_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/digits");
    for model in ["cnn_gelu.onnx", "cnn_relu.onnx", "mlp_sigmoid.onnx"] {
        let network = crate::frontend::import_path(folder.join(model)).unwrap().network;
        let text = format!("{network:#}");
        let read = pic_ir_text::network(&text).unwrap();
        assert_eq!(read.to_string(), network.to_string());
        assert_eq!(format!("{read:#}"), text);
        for (read, node) in read.graph.node_weights().zip(network.graph.node_weights()) {
            assert_eq!(read, node);
        }
    }
}
