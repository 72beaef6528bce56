//! Every file of the corpus means what ONNX Runtime says, after import and after simplification.

use ndarray::ArrayD;
use ndarray_npy::read_npy;
use pic_compiler::frontend::{ImportError, import_path};
use pic_compiler::reference::Reference;
use pic_compiler::rewrite::canonicalize;
use pic_ir::function::Function;
use pic_ir::network::{Network, Op};

use crate::{corpus_folder, difference, evaluate, onnx_files};

/// Files that ONNX accepts and that we refuse, because they move the batch axis.
const REFUSED: &[&str] = &["gemm_const_left", "gemm_trans_a", "transpose_default"];
/// Files on which tract 0.23 panics (a negative pad, an axes operand of Squeeze).
const NOT_IN_TRACT: &[&str] = &["pad_negative", "squeeze_opset_13"];
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
        let imported = result.unwrap_or_else(|error| panic!("{name}: {error}")).network;
        let x: ArrayD<f32> = read_npy(path.with_extension("x.npy")).unwrap();
        let y: ArrayD<f32> = read_npy(path.with_extension("y.npy")).unwrap();
        let (x, expected): (Vec<_>, Vec<_>) =
            (x.into_iter().collect(), y.iter().copied().collect());
        for network in [&imported, &canonicalize(&imported)] {
            network.verify().unwrap();
            assert_eq!(network.graph[network.output].shape, y.shape()[1..], "{name}\n{network}");
            let error = difference(&evaluate(network, &x), &expected);
            assert!(error <= TOLERANCE, "{name} differs by {error}\n{network}");
        }
    }
}

#[test]
fn the_reference_agrees_with_onnx_runtime() {
    for (name, path) in onnx_files(&corpus_folder()) {
        let reference = Reference::new(&std::fs::read(&path).unwrap());
        let x: ArrayD<f32> = read_npy(path.with_extension("x.npy")).unwrap();
        let y: ArrayD<f32> = read_npy(path.with_extension("y.npy")).unwrap();
        let (x, expected): (Vec<_>, Vec<_>) = (x.into_iter().collect(), y.into_iter().collect());
        match reference.and_then(|reference| reference.run(&x)) {
            Ok(found) => {
                let error = difference(&found, &expected);
                assert!(error <= TOLERANCE, "{name} differs by {error}");
                assert!(!NOT_IN_TRACT.contains(&&*name), "{name} runs in tract now");
            }
            Err(error) => assert!(NOT_IN_TRACT.contains(&&*name), "{name}: {error}"),
        }
    }
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
