//! Ends of files that are left to the client: what they become, and where they must be refused.

use pic_compiler::frontend::{Fault, Import, ImportError};
use pic_compiler::reference::Reference;
use pic_ir::function::Function;
use pic_ir::network::Op;
use pic_ir::postprocessing::{Postprocessing, Step};
use prost::Message;
use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::tensor_proto::DataType;

use crate::model::{Model, int, ints, value};
use crate::{difference, evaluate, outputs};

/// A model whose output is of integers.
fn with_integers(mut model: Model) -> Model {
    model.graph().output = vec![value("y", DataType::Int64, &[])];
    model
}

/// The import of a model, after comparing its outputs with tract's.
fn checked(model: &Model) -> Import {
    let import = model.import().unwrap();
    let len = import.network.graph[import.network.input()].len();
    let reference = Reference::new(&model.0.encode_to_vec()).unwrap();
    for factor in [29, 31] {
        let sample: Vec<f32> = (0..len).map(|k| (k * factor % 23) as f32 / 4.0 - 2.0).collect();
        let expected = reference.run(&sample).unwrap();
        let error = difference(&outputs(&import, &sample), &expected);
        assert!(error <= 1e-6, "differs by {error}: {:?}", import.postprocessing);
    }
    import
}

/// The steps of a single node behind an input of shape [2, 3].
fn steps(node: &str, attributes: &[AttributeProto], opset: i64) -> Vec<Step> {
    let model = Model::float(&[2, 3]).opset(opset).node(node, attributes);
    let import = checked(&model);
    assert_eq!(import.network.graph.node_count(), 1);
    import.postprocessing.steps
}

#[test]
fn normalisations_mean_what_their_operator_set_says() {
    for (operator, step) in [
        ("Softmax", (|axes| Step::Softmax { axes }) as fn(_) -> _),
        ("LogSoftmax", |axes| Step::LogSoftmax { axes }),
    ] {
        let node = format!("y = {operator}(x)");
        let found = |axis: Option<i64>, opset| {
            let attributes: Vec<_> = axis.map(|axis| int("axis", axis)).into_iter().collect();
            steps(&node, &attributes, opset)
        };
        // One axis, by default the last.
        for (axis, axes) in [(None, 1..2), (Some(1), 0..1), (Some(2), 1..2), (Some(-2), 0..1)] {
            assert_eq!(found(axis, 13), [step(axes)], "{operator} {axis:?}");
        }
        // The rows of a matrix, by default all that is not the batch.
        for (axis, axes) in [(None, 0..2), (Some(1), 0..2), (Some(2), 1..2)] {
            assert_eq!(found(axis, 7), [step(axes.clone())], "{operator} {axis:?}");
            assert_eq!(found(axis, 12), [step(axes)], "{operator} {axis:?}");
        }
    }
}

#[test]
fn largest_elements_are_found_by_the_client() {
    let arg_max =
        |axis, keeps_axis, takes_last| vec![Step::ArgMax { axis, keeps_axis, takes_last }];
    let found = |attributes: &[AttributeProto]| {
        let model = Model::float(&[2, 3]).node("y = ArgMax(x)", attributes);
        checked(&with_integers(model)).postprocessing.steps
    };
    assert_eq!(found(&[int("axis", 1)]), arg_max(0, true, false));
    assert_eq!(found(&[int("axis", -1), int("keepdims", 0)]), arg_max(1, false, false));
    let last = [int("axis", 2), int("select_last_index", 1)];
    assert_eq!(found(&last), arg_max(1, true, true));

    for (k, outputs, positions) in [(2, "y, i", false), (1, "v, y", true)] {
        let values = Model::float(&[2, 3]).ints("k", &[k]);
        let model = values.node(&format!("{outputs} = TopK(x, k)"), &[int("axis", -1)]);
        let model = if positions { with_integers(model) } else { model };
        let expected = Step::TopK { axis: 1, count: k as usize, positions };
        assert_eq!(checked(&model).postprocessing.steps, [expected]);
    }
    let old = Model::float(&[4]).opset(7).node("y, i = TopK(x)", &[int("k", 3)]);
    let expected = Step::TopK { axis: 0, count: 3, positions: false };
    assert_eq!(old.import().unwrap().postprocessing.steps, [expected]);
}

/// The class of an answer is that of its largest logit.
#[test]
fn the_smallest_element_is_the_largest_of_the_negated() {
    let model = Model::float(&[4]).node("y = ArgMin(x)", &[int("axis", 1), int("keepdims", 0)]);
    let import = checked(&with_integers(model));
    assert_eq!(evaluate(&import.network, &[3.0, -1.0, 0.5, 2.0]), [-3.0, 1.0, -0.5, -2.0]);
    assert_eq!(outputs(&import, &[3.0, -1.0, 0.5, 2.0]), [1.0]);
    let behind =
        Model::float(&[4]).node("s = Softmax(x)", &[]).node("y = ArgMin(s)", &[int("axis", 1)]);
    assert!(matches!(with_integers(behind).fault(), Fault::Unsupported { .. }));
}

#[test]
fn several_nodes_in_a_row_are_left_to_the_client() {
    let image = || Model::float(&[3, 2, 4]);
    // As exporters write a softmax over channels for old operator sets.
    let moved = image()
        .opset(11)
        .node("t = Transpose(x)", &[ints("perm", &[0, 2, 3, 1])])
        .node("s = Softmax(t)", &[int("axis", 3)])
        .node("y = Transpose(s)", &[ints("perm", &[0, 3, 1, 2])]);
    let import = checked(&moved);
    assert_eq!(import.network.graph.node_count(), 2, "the first transposition is encrypted");
    let found = &import.postprocessing.steps;
    assert!(matches!(found[..], [Step::Softmax { .. }, Step::Gather { .. }]), "{found:?}");

    let chain = image()
        .node("a = Softmax(x)", &[int("axis", 1)])
        .node("b = Identity(a)", &[])
        .ints("s", &[-1, 3, 8])
        .node("c = Reshape(b, s)", &[])
        .floats("low", &[], &[0.1])
        .node("d = Clip(c, low)", &[])
        .node("e = Cast(d)", &[int("to", 1)])
        .node("f = ArgMax(e)", &[int("axis", 1)])
        .node("g = Cast(f)", &[int("to", 6)])
        .node("h = Squeeze(g, one)", &[])
        .ints("one", &[1])
        .node("y = Cast(h)", &[int("to", 1)]);
    let import = checked(&chain);
    let names: Vec<String> = import.postprocessing.steps.iter().map(ToString::to_string).collect();
    let expected =
        ["Softmax(axis 0)", "Reshape([3, 8])", "clip(0.1, inf)", "ArgMax(axis 0)", "Reshape([8])"];
    assert_eq!(names, expected);

    // The probability of one class.
    let one = Model::float(&[2])
        .node("s = Softmax(x)", &[])
        .ints("k", &[1])
        .node("y = Gather(s, k)", &[int("axis", 1)]);
    let gather = Step::Gather { sources: vec![1], shape: vec![1] };
    assert_eq!(checked(&one).postprocessing.steps, [Step::Softmax { axes: 0..1 }, gather]);
}

#[test]
fn shapes_of_what_the_client_computes_are_known() {
    let model = Model::float(&[2, 3])
        .node("s = Softmax(x)", &[])
        .node("h = Shape(s)", &[])
        .ints("zero", &[0])
        .ints("rest", &[-1])
        .node("n = Gather(h, zero)", &[])
        .node("t = Concat(n, rest)", &[int("axis", 0)])
        .node("y = Reshape(s, t)", &[]);
    let reshape = Step::Reshape { shape: vec![6] };
    assert_eq!(checked(&model).postprocessing.steps, [Step::Softmax { axes: 1..2 }, reshape]);
}

/// They can be computed either way, which depends on the task.
#[test]
fn final_activations_are_imported() {
    let model = Model::float(&[3]).node("a = Sigmoid(x)", &[]).node("y = Softmax(a)", &[]);
    let import = checked(&model);
    let output = &import.network.graph[import.network.output];
    assert!(matches!(output.op, Op::Activation(_)));
    let alone = Model::float(&[3]).node("y = Sigmoid(x)", &[]).import().unwrap();
    assert_eq!(alone.postprocessing, Postprocessing::default());
    assert_eq!(alone.network.activations().len(), 1);
}

#[test]
fn samples_of_a_batch_are_not_compared() {
    let mixes = |model: Model| {
        let fault = model.fault();
        assert!(matches!(fault, Fault::MixesSamples { .. }), "{fault:?}");
    };
    let image = || Model::float(&[2, 3]);
    for opset in [7, 13] {
        mixes(image().opset(opset).node("y = Softmax(x)", &[int("axis", 0)]));
    }
    mixes(image().node("y = LogSoftmax(x)", &[int("axis", -3)]));
    // The default of ArgMax.
    mixes(with_integers(image().node("y = ArgMax(x)", &[])));
    mixes(with_integers(image().node("y = ArgMin(x)", &[int("axis", 0)])));
    mixes(image().ints("k", &[1]).node("y, i = TopK(x, k)", &[int("axis", 0)]));
    mixes(image().node("s = Softmax(x)", &[]).node("y = Flatten(s)", &[int("axis", 0)]));
}

#[test]
fn what_is_computed_with_is_not_left_to_the_client() {
    let refused = |model: Model, operators: &[&str]| {
        let Err(ImportError::Nodes(refusals)) = model.import() else { panic!("imported") };
        let found: Vec<&str> = refusals.iter().map(|r| r.op_type.as_str()).collect();
        assert_eq!(found, operators);
        let fault = |r: &pic_compiler::frontend::Refusal| matches!(r.fault, Fault::Operator { .. });
        assert!(refusals.iter().all(fault), "{refusals:?}");
    };
    let encrypted = |model: Model, steps: usize| {
        let import = model.import().unwrap();
        assert_eq!(import.postprocessing.steps.len(), steps);
        let exponentials = |f: &(_, Function)| f.1 == Function::Exp;
        assert_eq!(import.network.activations().iter().filter(|f| exponentials(f)).count(), 1);
    };
    let softmax = || Model::float(&[4]).node("s = Softmax(x)", &[]);
    encrypted(softmax().node("y = Add(s, x)", &[]), 0);
    encrypted(softmax().node("y = Mul(s, s)", &[]), 0);
    encrypted(softmax().floats("w", &[4, 2], &[0.5; 8]).node("y = MatMul(s, w)", &[]), 0);
    // The second softmax is left to the client, the first is not.
    encrypted(softmax().node("a = Add(s, x)", &[]).node("y = Softmax(a)", &[]), 1);
    // Both results of one node.
    let both = Model::float(&[4])
        .ints("k", &[2])
        .node("v, i = TopK(x, k)", &[])
        .node("f = Cast(i)", &[int("to", 1)])
        .node("y = Add(v, f)", &[]);
    refused(both, &["TopK"]);
    // A position as a truth value is another number.
    let truth = Model::float(&[4])
        .node("i = ArgMax(x)", &[int("axis", 1)])
        .node("y = Cast(i)", &[int("to", DataType::Bool as i64)]);
    assert!(matches!(truth.fault(), Fault::Unsupported { .. }));
    // Positions that depend on data.
    let positions = softmax()
        .node("i = ArgMax(s)", &[int("axis", 1)])
        .node("y = Gather(s, i)", &[int("axis", 1)]);
    refused(positions, &["ArgMax"]);
}

#[test]
fn attributes_are_validated() {
    let attribute = |model: Model| matches!(model.fault(), Fault::Attribute { name: "axis", .. });
    for axis in [3, -4, i64::MIN, i64::MAX] {
        for node in ["y = Softmax(x)", "y = ArgMax(x)"] {
            assert!(attribute(Model::float(&[2, 3]).node(node, &[int("axis", axis)])), "{axis}");
        }
    }
    for count in [0, 4, -1, i64::MAX, i64::MIN] {
        let model = Model::float(&[3]).ints("k", &[count]).node("y, i = TopK(x, k)", &[]);
        assert!(matches!(model.fault(), Fault::Shape { .. }), "{count}");
    }
    let smallest = Model::float(&[3]).ints("k", &[1]);
    let smallest = smallest.node("y, i = TopK(x, k)", &[int("largest", 0)]);
    assert!(matches!(smallest.fault(), Fault::Unsupported { .. }));
    // Probabilities are no whole numbers.
    let rounded =
        Model::float(&[3]).node("s = Softmax(x)", &[]).node("y = Cast(s)", &[int("to", 7)]);
    assert!(matches!(with_integers(rounded).fault(), Fault::Unsupported { .. }));
}

/// More than a client's file should hold.
#[test]
fn long_tails_are_refused() {
    let mut model = Model::float(&[1 << 11, 1 << 10]).node("a0 = Softmax(x)", &[]);
    model = model.node("y = Transpose(a0)", &[ints("perm", &[0, 2, 1])]);
    assert!(matches!(model.fault(), Fault::Unsupported { .. }));
    let mut model = Model::float(&[4]).node("a0 = Softmax(x)", &[]);
    for k in 0..64 {
        model = model.node(&format!("a{} = Relu(a{k})", k + 1), &[]);
    }
    assert!(matches!(model.node("y = Identity(a64)", &[]).fault(), Fault::Unsupported { .. }));
}
