//! What must be refused is refused for the right reason, and no file makes the importer panic.

use std::path::Path;

use pic_compiler::frontend::{
    Fault, ImportError, InputFault, StructureFault, TensorFault, import, import_path,
};
use pic_compiler::rewrite::canonicalize;
use proptest::prelude::*;
use prost::Message;
use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;

use crate::{corpus_folder, onnx_files};

/// Why each file of `tests/onnx/bad` is refused, in a few words.
fn kind(error: &ImportError) -> String {
    let input = |fault: &InputFault| match fault {
        InputFault::UnknownShape { .. } => "unknown shape",
        InputFault::Extent { .. } => "extent",
        InputFault::Type { .. } => "type",
    };
    let tensor = |fault: &TensorFault| match fault {
        TensorFault::External => "external",
        TensorFault::Extent { .. } => "extent",
        TensorFault::Length { .. } => "length",
        _ => "other",
    };
    let node = |fault: &Fault| match fault {
        Fault::Operator { .. } => "operator",
        Fault::Domain { .. } => "domain",
        Fault::Attribute { .. } => "attribute",
        Fault::NotConstant { .. } => "not constant",
        Fault::Shape { .. } => "shape",
        Fault::NotFinite => "not finite",
        Fault::MixesSamples { .. } => "mixes samples",
        _ => "other",
    };
    match error {
        ImportError::File { error, .. } => kind(error),
        ImportError::Read(_) => "read".into(),
        ImportError::Decode { .. } => "decode".into(),
        ImportError::NoGraph => "no graph".into(),
        ImportError::Opset { found } => format!("opset {found:?}"),
        ImportError::Inputs { found } => format!("inputs {found:?}"),
        ImportError::Outputs { found } => format!("outputs {found:?}"),
        ImportError::Input { fault, .. } => format!("input {}", input(fault)),
        ImportError::Initializer { fault, .. } => format!("initializer {}", tensor(fault)),
        ImportError::Structure { fault: StructureFault::Undefined, .. } => "undefined".into(),
        ImportError::Structure { fault: StructureFault::Redefined, .. } => "redefined".into(),
        ImportError::Structure { fault: StructureFault::Cycle, .. } => "cycle".into(),
        ImportError::ConstantOutput { .. } => "constant output".into(),
        ImportError::Nodes(refusals) => {
            let nodes = refusals.iter().map(|r| format!("{} {}", r.op_type, node(&r.fault)));
            nodes.collect::<Vec<_>>().join(", ")
        }
        ImportError::Reference { .. } => "reference".into(),
    }
}

#[test]
fn bad_files_are_refused_for_the_right_reason() {
    let expected = [
        ("cycle", "cycle"),
        ("defined_twice", "redefined"),
        ("empty", "opset None"),
        ("floor", "Floor operator"),
        ("foreign_domain", "ai.example.Relu domain"),
        ("input_with_open_image", "input unknown shape"),
        ("input_without_shape", "input unknown shape"),
        ("no_graph", "inputs []"),
        ("no_inputs", "inputs []"),
        ("no_opset", "opset None"),
        ("not_a_number", "Mul not finite"),
        ("opset_30", "opset Some(30)"),
        ("opset_5", "opset Some(5)"),
        ("output_never_made", "undefined"),
        ("several_unsupported", "Round operator, LSTM operator, Det operator"),
        ("softmax_batch", "Softmax mixes samples"),
        ("text", "decode"),
        ("truncated", "decode"),
        ("two_inputs", "inputs [\"x\", \"z\"]"),
        ("undefined_tensor", "undefined"),
        ("weight_enormous", "initializer extent"),
        ("weight_external", "initializer external"),
        ("weight_negative_size", "initializer extent"),
        ("weight_overflowing", "initializer extent"),
        ("weight_too_short", "initializer length"),
        ("weights_from_input", "Reshape mixes samples"),
        ("wrong_channels", "Conv shape"),
    ];
    let found = onnx_files(&corpus_folder().join("bad")).into_iter().filter_map(|(name, path)| {
        match import_path(&path) {
            Err(error) => Some((name, kind(&error))),
            // Integers that are cast to f32 at once are numbers.
            Ok(_) if name == "integer_input" => None,
            Ok(_) => Some((name, "imported".into())),
        }
    });
    let found: Vec<_> = found.collect();
    assert_eq!(found, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
}

#[test]
fn messages_say_what_where_why_and_what_to_do() {
    let path = corpus_folder().join("bad/several_unsupported.onnx");
    let message = import_path(&path).unwrap_err().to_string();
    insta::assert_snapshot!(message.replace(&*path.to_string_lossy(), "model.onnx"));
    let missing = import_path(Path::new("no/such/model.onnx")).unwrap_err();
    assert_eq!(kind(&missing), "read");
    assert!(missing.to_string().starts_with("no/such/model.onnx: "));
}

fn any_corpus_file() -> impl Strategy<Value = Vec<u8>> {
    let files = [corpus_folder(), corpus_folder().join("bad")];
    let files: Vec<_> = files.iter().flat_map(|folder| onnx_files(folder)).collect();
    proptest::sample::select(files).prop_map(|(_, path)| std::fs::read(path).unwrap())
}

/// Numbers that extents, axes and counts should not be.
fn odd_number() -> impl Strategy<Value = i64> {
    let powers = (0..64u32).prop_map(|k| (1i64 << k).wrapping_sub(1));
    prop_oneof![-3..9i64, Just(i64::MIN), powers]
}

/// Replaces one integer of one node's attributes, or of one constant of type int64.
fn replace_integer(model: &mut ModelProto, at: prop::sample::Index, value: i64) {
    let Some(graph) = &mut model.graph else { return };
    let attributes = graph.node.iter_mut().flat_map(|n| &mut n.attribute);
    let integers = attributes.flat_map(|a| a.ints.iter_mut().chain(Some(&mut a.i)));
    let mut places: Vec<&mut i64> = integers.collect();
    let constants = graph.initializer.iter_mut().filter(|t| t.data_type == DataType::Int64 as i32);
    let mut bytes: Vec<&mut [u8]> =
        constants.flat_map(|t| t.raw_data.chunks_exact_mut(8)).collect();
    let count = places.len() + bytes.len();
    if count > 0 {
        match at.index(count) {
            k if k < places.len() => *places[k] = value,
            k => bytes[k - places.len()].copy_from_slice(&value.to_le_bytes()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn odd_numbers_never_panic(
        bytes in any_corpus_file(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), odd_number()), 1..4),
    ) {
        let Ok(mut model) = ModelProto::decode(&*bytes) else { return Ok(()) };
        for (at, value) in changes {
            replace_integer(&mut model, at, value);
        }
        if let Ok(import) = import(&model.encode_to_vec()) {
            prop_assert_eq!(import.network.verify(), Ok(()));
            prop_assert_eq!(canonicalize(&import.network).verify(), Ok(()));
        }
    }

    /// Bit flips keep most of the structure, so they reach deep into the importer.
    #[test]
    fn damaged_files_never_panic(
        mut bytes in any_corpus_file(),
        flips in proptest::collection::vec(any::<(prop::sample::Index, u8)>(), 1..4),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        for (index, bits) in flips {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] ^= bits;
            }
        }
        if let Some(cut) = cut {
            let length = cut.index(bytes.len() + 1);
            bytes.truncate(length);
        }
        if let Ok(import) = import(&bytes) {
            prop_assert_eq!(import.network.verify(), Ok(()));
            prop_assert_eq!(canonicalize(&import.network).verify(), Ok(()));
        }
    }
}
