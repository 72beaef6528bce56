//! Models in QDQ form, as quantisers write them: the network of real numbers is read.

use pic_compiler::frontend::{Fault, Note};
use pic_compiler::rewrite::canonicalize;
use pic_ir::function::Function;
use pic_ir::network::Op;
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

use crate::evaluate;
use crate::model::{Model, int};

fn bytes(model: Model, name: &str, data_type: DataType, values: &[i32]) -> Model {
    let mut model = model;
    model.graph().initializer.push(TensorProto {
        name: name.into(),
        dims: vec![],
        data_type: data_type as i32,
        int32_data: values.to_vec(),
        ..Default::default()
    });
    model
}

/// `y` is a dense layer of `x` between pairs whose zero points are `input` and `output`.
fn layer(input: i32, output: i32) -> Model {
    let model = Model::float(&[2])
        .floats("s", &[], &[0.5])
        .floats("w", &[2, 2], &[1.0, 2.0, -3.0, 0.25])
        .node("q = QuantizeLinear(x, s, zi)", &[])
        .node("d = DequantizeLinear(q, s, zi)", &[])
        .node("a = MatMul(d, w)", &[])
        .node("b = QuantizeLinear(a, s, zo)", &[])
        .node("y = DequantizeLinear(b, s, zo)", &[]);
    let model = bytes(model, "zi", DataType::Uint8, &[input]);
    bytes(model, "zo", DataType::Uint8, &[output])
}

#[test]
fn pairs_are_left_out() {
    let import = layer(0, 128).import().unwrap();
    assert_eq!(import.notes, [Note::RoundingDropped { pairs: 2 }]);
    assert!(import.notes[0].to_string().starts_with("2 pair(s) of QuantizeLinear"));
    let network = canonicalize(&import.network);
    assert_eq!(network.graph.node_count(), 2, "{network}");
    assert_eq!(evaluate(&network, &[0.1, 1.0]), [-2.9, 0.45]);
}

/// Quantisers remove a ReLU whose result saturates at zero anyway.
#[test]
fn saturation_at_zero_is_kept() {
    let import = layer(0, 0).import().unwrap();
    let functions: Vec<_> = import.network.activations().into_iter().map(|(_, f)| f).collect();
    assert_eq!(functions, [Function::Clip { min: 0.0, max: 127.5 }]);
    let model = Model::float(&[2])
        .floats("s", &[], &[0.5])
        .node("a = Relu(x)", &[])
        .node("c = Add(a, a)", &[])
        .node("b = QuantizeLinear(c, s, z)", &[])
        .node("y = DequantizeLinear(b, s, z)", &[]);
    let import = bytes(model, "z", DataType::Int8, &[-128]).import().unwrap();
    let activation = |n: &&pic_ir::network::Node| matches!(n.op, Op::Activation(_));
    assert_eq!(import.network.graph.node_weights().filter(activation).count(), 1);
}

#[test]
fn an_input_of_integers_is_scaled() {
    let model = Model::new(DataType::Uint8, &[0, 2])
        .floats("s", &[], &[0.5])
        .node("d = DequantizeLinear(x, s, z)", &[])
        .node("y = Relu(d)", &[]);
    let network = bytes(model, "z", DataType::Uint8, &[4]).import().unwrap().network;
    assert_eq!(evaluate(&network, &[2.0, 14.0]), [0.0, 5.0]);
}

#[test]
fn integers_are_not_used_as_numbers() {
    let quantized = || {
        let model = Model::float(&[2])
            .floats("s", &[], &[0.5])
            .floats("t", &[], &[0.25])
            .node("q = QuantizeLinear(x, s)", &[]);
        bytes(model, "z", DataType::Uint8, &[0])
    };
    let used = |node: &str| quantized().node(node, &[]).fault();
    assert_eq!(used("y = Relu(q)"), Fault::Quantized { position: 0 });
    assert_eq!(used("y = Add(q, q)"), Fault::Quantized { position: 0 });
    assert_eq!(
        quantized().node("y = Concat(s, q)", &[int("axis", 1)]).fault(),
        Fault::Quantized { position: 1 }
    );
    assert!(matches!(used("y = DequantizeLinear(q, t)"), Fault::Unsupported { .. }));
}
