//! Every file of the corpus means what ONNX Runtime says, after import and after simplification.

use ndarray::ArrayD;
use ndarray_npy::read_npy;
use pic_compiler::frontend::{Import, ImportError, import_path};
use pic_compiler::reference::Reference;
use pic_compiler::rewrite::canonicalize;
use pic_ir::function::Function;
use pic_ir::network::{Network, Op};

use crate::{corpus_folder, difference, onnx_files, outputs};

/// Files that ONNX accepts and that we refuse, because they move the batch axis.
const REFUSED: &[&str] = &["gemm_const_left", "gemm_trans_a", "transpose_default"];
/// Files on which tract 0.23 fails or differs from ONNX Runtime.
const NOT_IN_TRACT: &[&str] = &[
    "celu",
    "compress",
    "conv_transpose_output_shape",
    "conv_transpose_output_shape_upper",
    "einsum_ellipsis",
    "final_top_k_opset_9",
    "gather_nd",
    "gather_nd_batch",
    "global_lp_pool",
    "lp_pool",
    "lp_pool_1",
    "pad_negative",
    "pad_wrap",
    "qdq_after_relu",
    "qdq_instead_of_relu",
    "qdq_pair",
    "reduce_mean_twice",
    "reverse_sequence",
    "squeeze_opset_13",
    "swish",
    "upsample_linear",
    "upsample_nearest",
    "upsample_opset_7",
    "weights_bfloat16",
    "weights_dequantized_blocks",
];
/// Agreement with other implementations in f32, relative to the largest output.
const TOLERANCE: f32 = 1e-4;

#[test]
fn networks_agree_with_onnx_runtime() {
    for (name, path) in onnx_files(&corpus_folder()) {
        let result = import_path(&path);
        if REFUSED.contains(&&*name) {
            let nodes = matches!(&result, Err(ImportError::File { error, .. })
                if matches!(**error, ImportError::Nodes(_)));
            assert!(nodes, "{name}: {result:?}");
            continue;
        }
        let imported = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        let x: ArrayD<f32> = read_npy(path.with_extension("x.npy")).unwrap();
        let y: ArrayD<f32> = read_npy(path.with_extension("y.npy")).unwrap();
        let simplified = Import { network: canonicalize(&imported.network), ..imported.clone() };
        for import in [&imported, &simplified] {
            let network = &import.network;
            network.verify().unwrap();
            let shape = import.postprocessing.verify(&network.graph[network.output].shape);
            assert_eq!(shape.unwrap(), y.shape()[1..], "{name}\n{network}");
            for (x, y) in samples(&x, &y) {
                let error = difference(&outputs(import, &x), &y);
                assert!(error <= TOLERANCE, "{name} differs by {error}\n{network}");
            }
        }
    }
}

/// Inputs and outputs of each sample of a batch.
fn samples(x: &ArrayD<f32>, y: &ArrayD<f32>) -> Vec<(Vec<f32>, Vec<f32>)> {
    let rows = |a: &ArrayD<f32>| {
        a.outer_iter().map(|r| r.iter().copied().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    rows(x).into_iter().zip(rows(y)).collect()
}

#[test]
fn the_reference_agrees_with_onnx_runtime() {
    let mut differ = Vec::new();
    for (name, path) in onnx_files(&corpus_folder()) {
        let reference = Reference::new(&std::fs::read(&path).unwrap());
        let x: ArrayD<f32> = read_npy(path.with_extension("x.npy")).unwrap();
        let y: ArrayD<f32> = read_npy(path.with_extension("y.npy")).unwrap();
        let run = |(x, y): (Vec<f32>, Vec<f32>)| match &reference {
            Ok(reference) => {
                let found = reference.run(&x).ok().filter(|found| found.len() == y.len());
                found.map(|found| difference(&found, &y))
            }
            Err(_) => None,
        };
        let error = samples(&x, &y).into_iter().map(run).reduce(|a, b| Some(a?.max(b?))).flatten();
        if error.is_none_or(|error| error > TOLERANCE) {
            differ.push(name);
        }
    }
    assert_eq!(differ, NOT_IN_TRACT);
}

#[test]
fn activations_written_as_primitives_are_one_node() {
    let cases = [
        ("gelu_erf", Function::Gelu),
        ("gelu_erf_as_nodes", Function::Gelu),
        ("gelu_erf_half_first", Function::Gelu),
        ("gelu_tanh", Function::GeluTanh),
        ("gelu_tanh_products", Function::GeluTanh),
        ("silu", Function::Silu),
        ("silu_left", Function::Silu),
        ("swish_beta", Function::Silu),
        ("hardswish_clip", Function::HardSwish),
        ("hardswish_clip_div_first", Function::HardSwish),
        ("hardswish_hardsigmoid", Function::HardSwish),
    ];
    for (name, function) in cases {
        let imported = import_path(corpus_folder().join(format!("{name}.onnx"))).unwrap().network;
        let network = canonicalize(&imported);
        assert_eq!(functions(&network), [function], "{name}\n{network}");
        let products = network.graph.node_weights().filter(|n| n.op == Op::Product).count();
        assert_eq!(products, 0, "{name}\n{network}");
    }
}

fn functions(network: &Network) -> Vec<Function> {
    network.activations().into_iter().map(|(_, function)| function).collect()
}
