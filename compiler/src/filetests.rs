//! Tests of passes by text: each file of `tests/filetests/PASS` has the input of one pass and what
//! it should return.
//!
//! A file has headers, an empty line, the complete text of a network, a line `---`, and the
//! complete text of the network that the pass returns, or the text of its answer. `PIC_BLESS=1`
//! writes what passes return into the files. So that a wrong rewrite cannot be blessed, outputs
//! before and after are compared, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pic_ir::activations::{Activations, Approximation};
use pic_ir::network::{Network, Op};

use crate::dataset::Dataset;
use crate::rewrite::{self, activations, compose, sweep};
use crate::sample_networks::{normal_samples, views};
use crate::{composite, plan, profile};

/// Difference that the outputs of equivalent networks may have, relative to `1 + |output|`: that of
/// a few constants rounded to f32, which is 2^-24 each.
const TOLERANCE: f64 = 1e-5;

/// Passes whose answer to their own answer is the same.
const IDEMPOTENT: [&str; 3] = ["eliminate-dead", "canonicalize", "isolate"];

/// The values of a file's headers by their names.
type Headers<'a> = BTreeMap<&'a str, &'a str>;

/// The answer of a pass.
enum Answer {
    /// A network that computes the same.
    Rewritten(Network),
    Text(String),
}

/// The passes by the names that headers give them.
fn run(pass: &str, network: &Network, headers: &Headers) -> Result<Answer, String> {
    let rewritten = match pass {
        "fuse-activations" => activations::recognise(network),
        "fuse-linear" => compose::compose(network),
        "eliminate-dead" => sweep::sweep(network),
        "canonicalize" => rewrite::simplify(network),
        "isolate" => plan::separate(network),
        "equalize" => equalized(network, headers)?,
        "composite" => match composite::rewrite(network) {
            Ok(rewritten) => rewritten,
            Err(error) => return Ok(Answer::Text(format!("{error}\n"))),
        },
        "levels" => return levels(network, headers).map(Answer::Text),
        _ => return Err(format!("there is no pass `{pass}`")),
    };
    Ok(Answer::Rewritten(rewritten))
}

/// Header `samples`: those that the activations' inputs are profiled on.
fn equalized(network: &Network, headers: &Headers) -> Result<Network, String> {
    let samples = headers.get("samples").ok_or("no header `samples`")?;
    let samples: Vec<Vec<f32>> = samples.split(';').map(numbers).collect::<Result<_, _>>()?;
    let samples = views(&samples);
    let data = Dataset::new(network, &samples, None).map_err(|e| e.to_string())?;
    let layers = profile::inputs(network, &data, &profile::Options::default(), &|_, _| {});
    Ok(rewrite::rescale(network, &layers.map_err(|e| e.to_string())?))
}

/// Headers `degrees`, of each activation's polynomial, and `bootstrapped`, the nodes that are.
fn levels(network: &Network, headers: &Headers) -> Result<String, String> {
    let mut degrees = numbers(headers.get("degrees").unwrap_or(&""))?.into_iter();
    let layers = network.activations().into_iter().map(|(node, function)| {
        let degree: usize = degrees.next().ok_or("fewer degrees than activations")?;
        Ok(Approximation {
            name: network.graph[node].name.clone(),
            function,
            center: 0.0,
            half_width: 1.0,
            stretch: 1.0,
            coefficients: vec![1.0; degree + 1],
            error: 0.0,
            loss: 0.0,
        })
    });
    let activations = Activations { layers: layers.collect::<Result<_, String>>()? };
    let bootstrapped: Vec<usize> = numbers(headers.get("bootstrapped").unwrap_or(&""))?;
    let nodes = 0..network.graph.node_count();
    let is_bootstrapped: Vec<bool> = nodes.map(|node| bootstrapped.contains(&node)).collect();
    let levels = plan::levels(network, &activations, &is_bootstrapped);
    let line = |(node, plan::Levels { computed, used }): (usize, &plan::Levels)| {
        format!("%{node}: computed at {computed}, used at {used}\n")
    };
    Ok(levels.iter().enumerate().map(line).collect())
}

fn numbers<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, String> {
    let number = |word: &str| word.parse().map_err(|_| format!("`{word}` is not a number"));
    text.split_whitespace().map(number).collect()
}

#[test]
fn passes_return_what_files_expect() {
    let bless = std::env::var_os("PIC_BLESS").is_some();
    let failure =
        |path: PathBuf| Some(format!("{}: {}", path.display(), test(&path, bless).err()?));
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
    let network = pic_ir_text::network(input).map_err(|error| format!("input: {error}"))?;
    let verified = network.verify();
    if pass == "verify" {
        return Ok(verified.map_or_else(|error| format!("{error}\n"), |()| "verified\n".into()));
    }
    verified.map_err(|error| format!("input: {error}"))?;
    match run(pass, &network, headers)? {
        Answer::Text(text) => Ok(text),
        Answer::Rewritten(rewritten) => {
            rewritten.verify().map_err(|error| format!("rewritten: {error}\n{rewritten}"))?;
            compare(&network, &rewritten).map_err(|error| format!("{error}\n{rewritten}"))?;
            Ok(format!("{rewritten:#}"))
        }
    }
}

/// Compares shapes of input and output, and outputs on random inputs of several sizes.
fn compare(before: &Network, after: &Network) -> Result<(), String> {
    let shapes = |n: &Network| [n.input(), n.output].map(|node| n.graph[node].shape.clone());
    if shapes(before) != shapes(after) {
        return Err(format!("shapes {:?} become {:?}", shapes(before), shapes(after)));
    }
    let samples = normal_samples(12, before.graph[before.input()].len(), 1);
    for (sample, scale) in samples.iter().zip([0.25, 1.0, 4.0, 16.0].into_iter().cycle()) {
        let input: Vec<f64> = sample.iter().map(|&x| scale * f64::from(x)).collect();
        for (x, y) in output(before, &input).into_iter().zip(output(after, &input)) {
            // A difference that is not a number is not small.
            let is_small = (x - y).abs() <= TOLERANCE * (1.0 + x.abs());
            if !is_small {
                return Err(format!("the output {x} becomes {y} for the input {input:?}"));
            }
        }
    }
    Ok(())
}

/// The output in f64 by the definitions of `pic_ir`, node by node.
fn output(network: &Network, input: &[f64]) -> Vec<f64> {
    let mut values: Vec<Vec<f64>> = Vec::new();
    for node in network.graph.node_indices() {
        let operands = network.operands(node);
        let operand = |k: usize| &values[operands[k].index()];
        values.push(match &network.graph[node].op {
            Op::Input => input.to_vec(),
            Op::Activation(function) => operand(0).iter().map(|&x| function.evaluate(x)).collect(),
            Op::Product => operand(0).iter().zip(operand(1)).map(|(x, y)| x * y).collect(),
            Op::Linear { matrices, bias } => {
                let mut entries = Vec::new();
                let mut element = |row: usize| {
                    let mut sum = bias.as_ref().map_or(0.0, |bias| f64::from(bias[row]));
                    for (k, matrix) in matrices.iter().enumerate() {
                        matrix.row(row, &mut entries);
                        sum +=
                            entries.iter().map(|&(c, w)| w * operand(k)[c as usize]).sum::<f64>();
                    }
                    sum
                };
                (0..matrices[0].rows()).map(&mut element).collect()
            }
        });
    }
    values.swap_remove(network.output.index())
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
