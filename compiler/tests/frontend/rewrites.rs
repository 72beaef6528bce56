//! Rewrites keep the meaning of networks: random ones, and one shown in full.

use pic_compiler::frontend::import_path;
use pic_compiler::rewrite::canonicalize;
use pic_ir::function::Function;
use pic_ir::matrix::{Conv, ConvAxis, Matrix};
use pic_ir::network::{Network, Node, Op};
use proptest::prelude::*;

use crate::{corpus_folder, difference, evaluate};

#[test]
fn a_residual_network_before_and_after() {
    let path = corpus_folder().join("residual_option_a.onnx");
    let network = import_path(path).unwrap().network;
    let simplified = canonicalize(&network);
    insta::assert_snapshot!(format!("{network}\n{simplified}"));
}

/// A step of a random chain over tensors `[channels, side, side]`.
#[derive(Clone, Debug)]
enum Step {
    Conv { channels: usize, kernel: usize, stride: usize, groups_of_one: bool },
    Normalise,
    Pool,
    Transpose,
    Shift,
    AddInput,
    AddItself,
    Relu,
    Square,
    Scale(f32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..4usize, 1..4usize, 1..3usize, any::<bool>()).prop_map(
            |(channels, kernel, stride, groups_of_one)| Step::Conv {
                channels,
                kernel,
                stride,
                groups_of_one
            }
        ),
        Just(Step::Normalise),
        Just(Step::Pool),
        Just(Step::Transpose),
        Just(Step::Shift),
        Just(Step::AddInput),
        Just(Step::AddItself),
        Just(Step::Relu),
        Just(Step::Square),
        prop_oneof![Just(1.0f32), Just(-1.0), Just(0.5)].prop_map(Step::Scale),
    ]
}

/// A deterministic sequence in [−1, 1], so that failures shrink over the structure alone.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|k| ((k * 37 + seed * 101 + 11) % 41) as f32 / 20.0 - 1.0).collect()
}

fn build(steps: &[Step]) -> Network {
    let (mut channels, mut side) = (2usize, 6usize);
    let mut network = Network::with_input("x", vec![channels, side, side]);
    let mut last = network.input();
    // The newest tensors by shape, for residual sums.
    let mut earlier = vec![(last, channels, side)];
    for (k, step) in steps.iter().enumerate() {
        let len = channels * side * side;
        let single = |m: Matrix| (vec![last], Op::Linear { matrices: vec![m], bias: None });
        let (operands, op) = match *step {
            Step::Conv { channels: out, kernel, stride, groups_of_one } => {
                let groups = if groups_of_one { channels } else { 1 };
                let out = if groups_of_one { channels * out } else { out };
                let pad = kernel / 2;
                let output = (side + 2 * pad - kernel) / stride + 1;
                let axis = ConvAxis { input: side, output, kernel, stride, dilation: 1, pad };
                let weights = numbers(out * channels / groups * kernel * kernel, k);
                let conv = Conv {
                    out_channels: out,
                    in_channels: channels,
                    groups,
                    axes: vec![axis; 2],
                    weights,
                };
                (channels, side) = (out, output);
                let bias = Some(numbers(out * output * output, k + 1));
                (vec![last], Op::Linear { matrices: vec![Matrix::Conv(conv)], bias })
            }
            Step::Normalise => {
                let by_channel = numbers(channels, k);
                let area = side * side;
                let diagonal = (0..len).map(|i| by_channel[i / area]).collect();
                let bias = Some(numbers(len, k));
                (vec![last], Op::Linear { matrices: vec![Matrix::Diagonal(diagonal)], bias })
            }
            Step::Pool => {
                let cols = side * side;
                let weights = vec![1.0 / cols as f32; cols];
                side = 1;
                single(Matrix::Dense { outer: channels, rows: 1, cols, inner: 1, weights })
            }
            Step::Transpose => {
                let source =
                    |i: usize| i / (side * side) * side * side + i % side * side + i / side % side;
                let sources = (0..len).map(|i| source(i) as u32).collect();
                single(Matrix::Gather { cols: len, sources })
            }
            Step::Shift => {
                let sources = (0..len as u32).map(|i| i.checked_sub(1).unwrap_or(Matrix::ZERO));
                single(Matrix::Gather { cols: len, sources: sources.collect() })
            }
            Step::AddInput => {
                let same = |(_, c, s): &&(_, usize, usize)| (*c, *s) == (channels, side);
                let other = earlier.iter().find(same).map_or(last, |e| e.0);
                let matrices = vec![Matrix::identity(len), Matrix::identity(len)];
                (vec![last, other], Op::Linear { matrices, bias: None })
            }
            Step::AddItself => {
                let matrices =
                    vec![Matrix::Diagonal(numbers(len, k)), Matrix::Scalar { len, value: 0.5 }];
                (vec![last, last], Op::Linear { matrices, bias: None })
            }
            Step::Relu => (vec![last], Op::Activation(Function::Relu)),
            Step::Square => (vec![last, last], Op::Product),
            Step::Scale(value) => single(Matrix::Scalar { len, value }),
        };
        let name = format!("n{k}");
        let node =
            Node { provenance: vec![name.clone()], name, op, shape: vec![channels, side, side] };
        last = network.push(node, &operands);
        earlier.push((last, channels, side));
    }
    network
}

proptest! {
    #[test]
    fn random_networks_keep_their_meaning(steps in proptest::collection::vec(step(), 1..9)) {
        let network = build(&steps);
        network.verify().unwrap();
        let simplified = canonicalize(&network);
        prop_assert_eq!(simplified.verify(), Ok(()));
        prop_assert_eq!(&simplified.graph[simplified.output].shape, &network.graph[network.output].shape);
        let sample = numbers(network.graph[network.input()].len(), 7);
        let (found, expected) = (evaluate(&simplified, &sample), evaluate(&network, &sample));
        // Squares of large numbers may leave f32 in both.
        prop_assume!(expected.iter().all(|v| v.is_finite()));
        prop_assert!(difference(&found, &expected) <= 1e-4, "{}\n{}", network, simplified);
        // A second run finds nothing left to do.
        prop_assert_eq!(canonicalize(&simplified).to_string(), simplified.to_string());
    }
}
