//! Constants in every form that files have, and parts of files that nothing needs.

use pic_compiler::rewrite::canonicalize;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{SparseTensorProto, TensorProto};

use crate::evaluate;
use crate::model::{Model, int, value};

fn tensor(name: &str, data_type: DataType, dims: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: data_type as i32,
        dims: dims.to_vec(),
        ..Default::default()
    }
}

#[test]
fn what_the_output_does_not_need_is_ignored() {
    let mut model =
        Model::float(&[3]).floats("c", &[3], &[1.0, -2.0, 0.5]).node("y = Mul(x, c)", &[]);
    let graph = model.graph();
    graph.input.push(value("tokens", DataType::Int64, &[1, 7]));
    graph.initializer.push(tensor("words", DataType::String, &[2]));
    graph.initializer.push(tensor("eighths", DataType::Float8e4m3fn, &[1 << 40]));
    assert_eq!(model.checked().graph.node_count(), 2);
}

#[test]
fn initializers_may_be_listed_as_inputs() {
    let mut model =
        Model::float(&[3]).floats("c", &[3], &[1.0, -2.0, 0.5]).node("y = Mul(x, c)", &[]);
    model.0.ir_version = 3;
    model.graph().input.insert(0, value("c", DataType::Float, &[3]));
    assert_eq!(evaluate(&model.import().unwrap().network, &[1.0, 1.0, 1.0]), [1.0, -2.0, 0.5]);
}

#[test]
fn sparse_weights_are_filled_with_zeros() {
    let mut model = Model::float(&[4]).node("y = MatMul(x, w)", &[]);
    let mut values = tensor("w", DataType::Float, &[2]);
    values.float_data = vec![2.0, -1.0];
    let mut indices = tensor("", DataType::Int64, &[2]);
    indices.int64_data = vec![1, 6];
    let sparse =
        SparseTensorProto { values: Some(values), indices: Some(indices), dims: vec![4, 2] };
    model.graph().sparse_initializer.push(sparse);
    let network = model.import().unwrap().network;
    assert_eq!(evaluate(&network, &[1.0, 10.0, 100.0, 1000.0]), [-1000.0, 2.0]);
}

#[test]
fn networks_in_half_precision_are_read_as_real_numbers() {
    for (data_type, bits, element) in
        [(DataType::Float16, [0x00, 0xc1], 10), (DataType::Bfloat16, [0x20, 0xc0], 16)]
    {
        let mut weight = tensor("w", data_type, &[1]);
        weight.raw_data = bits.to_vec();
        let mut model = Model::new(data_type, &[0, 2])
            .node("h = Cast(x)", &[int("to", element)])
            .node("m = Mul(h, w)", &[])
            .node("r = Relu(m)", &[])
            .node("y = Cast(r)", &[int("to", 1)]);
        model.graph().initializer.push(weight);
        let network = canonicalize(&model.import().unwrap().network);
        assert_eq!(evaluate(&network, &[2.0, -2.0]), [0.0, 5.0]);
    }
}
