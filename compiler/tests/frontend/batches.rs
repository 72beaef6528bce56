//! Files that fix their batch to several samples: the network is that of one of them, or the file is refused.

use pic_compiler::frontend::Fault;
use tract_onnx::pb::tensor_proto::DataType;

use crate::evaluate;
use crate::model::{Model, int, ints};

fn of_four(dims: &[i64]) -> Model {
    Model::new(DataType::Float, &[&[4], dims].concat())
}

#[test]
fn constants_may_name_the_batch() {
    let reshaped = of_four(&[2, 3]).ints("s", &[4, 6]).node("y = Reshape(x, s)", &[]);
    assert_eq!(reshaped.checked().graph.node_count(), 2);
    let shape = of_four(&[2, 3])
        .ints("first", &[0])
        .ints("rest", &[-1])
        .node("s = Shape(x)", &[])
        .node("n = Gather(s, first)", &[])
        .node("t = Concat(n, rest)", &[int("axis", 0)])
        .node("y = Reshape(x, t)", &[]);
    assert_eq!(shape.checked().graph.node_count(), 2);
}

#[test]
fn the_size_of_the_batch_is_that_of_the_file() {
    let model = of_four(&[2])
        .node("n = Size(x)", &[])
        .node("f = Cast(n)", &[int("to", 1)])
        .node("y = Mul(x, f)", &[]);
    assert_eq!(evaluate(&model.import().unwrap().network, &[1.0, 2.0]), [8.0, 16.0]);
}

#[test]
fn samples_are_told_apart_by_no_constant() {
    let mixes = |model: Model| matches!(model.fault(), Fault::MixesSamples { .. });
    assert!(mixes(of_four(&[2, 3]).ints("s", &[1, -1]).node("y = Reshape(x, s)", &[])));
    assert!(mixes(of_four(&[2]).floats("c", &[4, 1], &[1.0; 4]).node("y = Mul(x, c)", &[])));
    let slice = of_four(&[2]).ints("b", &[0]).ints("e", &[1]);
    assert!(mixes(slice.node("y = Slice(x, b, e)", &[])));
    assert!(mixes(of_four(&[2]).ints("i", &[0]).node("y = Gather(x, i)", &[])));
    assert!(mixes(of_four(&[2, 3]).node("y = ReduceSum(x)", &[])));
    assert!(mixes(of_four(&[2, 3]).node("y = Transpose(x)", &[ints("perm", &[1, 0, 2])])));
    let tiled = of_four(&[2]).ints("r", &[2, 1]);
    assert!(mixes(tiled.node("y = Tile(x, r)", &[])));
}
