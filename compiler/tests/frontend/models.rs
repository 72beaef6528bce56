//! Models that the corpus does not hold, built here: what the importer promises beyond single
//! operators, and files that ask for absurd amounts.

use pic_compiler::frontend::{Fault, ImportError, InputFault};
use pic_compiler::rewrite::canonicalize;
use pic_ir::function::Function;
use pic_ir::network::{Network, Op};
use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::tensor_proto::DataType;

use crate::evaluate;
use crate::model::{Model, int, ints, string, value};

fn functions(network: &Network) -> Vec<Function> {
    network.activations().into_iter().map(|(_, function)| function).collect()
}

#[test]
fn maxima_and_minima_are_relus_and_clips() {
    let bounded = Model::float(&[5])
        .floats("zero", &[], &[0.0])
        .floats("six", &[1], &[6.0])
        .node("a = Max(x, zero)", &[])
        .node("y = Min(six, a)", &[]);
    assert_eq!(functions(&bounded.checked()), [Function::Clip { min: 0.0, max: 6.0 }]);
    let relu = Model::float(&[5]).floats("zero", &[], &[0.0]).node("y = Max(zero, x)", &[]);
    assert_eq!(functions(&relu.checked()), [Function::Relu]);
    let bounds = Model::float(&[3]).floats("c", &[3], &[-4.0, 0.0, 4.0]);
    for op in ["Max", "Min"] {
        let by_element = Model(bounds.0.clone()).node(&format!("y = {op}(c, x)"), &[]);
        assert_eq!(functions(&by_element.checked()), [Function::Relu]);
        let of_two = Model(bounds.0.clone())
            .node("a = Mul(x, c)", &[])
            .node(&format!("y = {op}(a, x)"), &[]);
        assert_eq!(functions(&of_two.checked()), [Function::Relu]);
    }
}

#[test]
fn only_nodes_at_fault_are_refused() {
    // What exporters write for a flattening: its constants depend on the shape of a refused value.
    let model = Model::float(&[2, 4, 4])
        .ints("zero", &[0])
        .ints("rest", &[-1])
        .floats("w", &[8, 3], &[0.5; 24])
        .node("a = Round(x)", &[])
        .node("s = Shape(a)", &[])
        .node("b = Gather(s, zero)", &[])
        .node("t = Concat(b, rest)", &[int("axis", 0)])
        .node("r = Reshape(a, t)", &[])
        .node("m = MatMul(r, w)", &[])
        .node("e = Floor(m)", &[])
        .node("y = Relu(e)", &[]);
    let Err(ImportError::Nodes(refusals)) = model.import() else { panic!("imported") };
    let refused: Vec<_> = refusals.iter().map(|r| r.op_type.as_str()).collect();
    assert_eq!(refused, ["Round", "Floor"]);
}

/// What tract has by the processor or by the system: sums of single precision above all, whose rounding shows
/// in what order they were taken.
#[test]
fn constants_are_the_same_everywhere() {
    let values: Vec<f32> = (0..48).map(|k| 0.3 + 0.17 * k as f32).collect();
    let folded = |node: &str, attributes: &[AttributeProto]| {
        let x = Model::float(&[48]).floats("c", &[48], &values);
        let constants = x.floats("e", &[], &[1.7]).ints("axes", &[0]);
        let model = constants.node(&format!("f = {node}"), attributes).node("y = Add(x, f)", &[]);
        evaluate(&model.checked(), &[0.0; 48])
    };
    let of = |function: &dyn Fn(f64) -> f64| -> Vec<f32> {
        values.iter().map(|&v| function(v.into()) as f32).collect()
    };
    assert_eq!(folded("Exp(c)", &[]), of(&libm::exp));
    assert_eq!(folded("Log(c)", &[]), of(&libm::log));
    assert_eq!(folded("Pow(c, e)", &[]), of(&|v| libm::pow(v, 1.7f32.into())));
    assert_eq!(folded("Pow(e, c)", &[]), of(&|v| libm::pow(1.7f32.into(), v)));
    let sum: f64 = values.iter().map(|&v| f64::from(v)).sum();
    assert_eq!(folded("ReduceSum(c, axes)", &[]), [sum as f32; 48]);
    let mean = folded("ReduceMean(c)", &[ints("axes", &[0])]);
    assert_eq!(mean, [(sum / 48.0) as f32; 48]);
}

#[test]
fn empty_constants_are_refused() {
    for op in ["Add", "Mul", "Max", "Div"] {
        let model = Model::float(&[1]).floats("c", &[0], &[]).node(&format!("y = {op}(x, c)"), &[]);
        assert!(matches!(model.fault(), Fault::Shape { .. }));
    }
}

#[test]
fn powers_multiply() {
    for (exponent, products) in [(1.0, 0), (2.0, 1), (3.0, 2), (7.0, 4)] {
        let model = Model::float(&[5]).floats("e", &[], &[exponent]).node("y = Pow(x, e)", &[]);
        let network = model.checked();
        let found = network.graph.node_weights().filter(|n| n.op == Op::Product).count();
        assert_eq!(found, products, "{network}");
    }
    let root = Model::float(&[5]).floats("e", &[], &[0.5]).node("y = Pow(x, e)", &[]);
    assert_eq!(functions(&root.import().unwrap().network), [Function::Power { exponent: 0.5 }]);
    let several = Model::float(&[2]).floats("e", &[2], &[0.5, 1.5]).node("y = Pow(x, e)", &[]);
    assert!(matches!(several.fault(), Fault::Shape { .. }));
    let wide = Model::float(&[1]).floats("b", &[1, 3], &[2.0; 3]).node("y = Pow(b, x)", &[]);
    assert!(matches!(wide.fault(), Fault::Shape { .. }));
    let negative = Model::float(&[2]).floats("b", &[], &[-2.0]).node("y = Pow(b, x)", &[]);
    assert!(matches!(negative.fault(), Fault::Unsupported { .. }));
}

#[test]
fn inputs_are_batches_of_one_real_sample() {
    let input_fault = |model: Model| match model.import() {
        Err(ImportError::Input { fault, .. }) => fault,
        other => panic!("{other:?}"),
    };
    let of_batch = |batch| Model::new(DataType::Float, &[batch, 4]).node("y = Relu(x)", &[]);
    assert_eq!(of_batch(-1).checked().graph.node_count(), 2);
    assert_eq!(of_batch(1).checked().graph.node_count(), 2);
    assert_eq!(of_batch(8).checked().graph.node_count(), 2);
    let bytes = || Model::new(DataType::Uint8, &[0, 4]);
    let used = input_fault(bytes().node("y = Relu(x)", &[]));
    assert_eq!(used, InputFault::Type { found: "UINT8".into() });
    let cast = bytes().node("a = Cast(x)", &[int("to", 1)]).node("y = Relu(a)", &[]);
    let network = canonicalize(&cast.import().unwrap().network);
    assert_eq!(evaluate(&network, &[0.0, 1.0, 200.0, 255.0]), [0.0, 1.0, 200.0, 255.0]);
}

#[test]
fn outputs_must_be_one_that_depends_on_the_input() {
    let mut two = Model::float(&[4]).node("y = Relu(x)", &[]);
    two.graph().output.push(value("x", DataType::Float, &[]));
    assert!(matches!(two.import(), Err(ImportError::Outputs { found }) if found == ["y", "x"]));
    let constant = Model::float(&[4]).floats("c", &[1], &[1.0]).node("y = Neg(c)", &[]);
    assert!(
        matches!(constant.import(), Err(ImportError::ConstantOutput { output }) if output == "y")
    );
}

#[test]
fn samples_are_never_mixed() {
    let mixes = |model: Model| matches!(model.fault(), Fault::MixesSamples { .. });
    let image = || Model::float(&[2, 3, 4]);
    assert!(mixes(image().node("y = Transpose(x)", &[ints("perm", &[1, 0, 2, 3])])));
    assert!(mixes(image().node("y = Concat(x, x)", &[int("axis", 0)])));
    assert!(mixes(image().node("y = Flatten(x)", &[int("axis", 0)])));
    assert!(mixes(image().ints("s", &[-1, 12]).node("y = Reshape(x, s)", &[])));
    assert!(mixes(image().node("y = ReduceMean(x)", &[])));
    assert!(mixes(image().ints("a", &[0]).node("y = Squeeze(x, a)", &[])));
    assert!(mixes(image().floats("c", &[2, 1, 1, 1], &[1.0, 2.0]).node("y = Add(x, c)", &[])));
}

#[test]
fn absurd_sizes_are_refused_before_allocation() {
    let image = || Model::float(&[2, 3, 4]);
    let too_large = |model: Model| matches!(model.fault(), Fault::TooLarge { .. });
    let huge = 1 << 23;
    let window = [ints("kernel_shape", &[huge, huge]), ints("pads", &[huge; 4])];
    assert!(too_large(image().node("y = AveragePool(x)", &window)));
    let wide = [ints("pads", &[huge; 4])];
    let conv = image().floats("w", &[1, 2, 1, 1], &[1.0, 1.0]);
    assert!(too_large(conv.node("y = Conv(x, w)", &wide)));
    let pads = image().ints("p", &[0, 0, 0, 0, 0, 0, 1 << 40, 1 << 40]);
    assert!(too_large(pads.node("y = Pad(x, p)", &[])));
    let shape = || Model::float(&[1, 1, 1]).ints("s", &[1, 1 << 20, 1 << 20, 1 << 20]);
    assert!(too_large(shape().node("y = Expand(x, s)", &[])));
    let constant = shape().node("c = ConstantOfShape(s)", &[]).node("y = Add(x, c)", &[]);
    assert!(too_large(constant));
    let input = Model::new(DataType::Float, &[1, 1 << 40, 1 << 40]).node("y = Relu(x)", &[]);
    let fault = |error: &ImportError| {
        matches!(error, ImportError::Input { fault, .. }
        if matches!(fault, InputFault::Extent { .. }))
    };
    assert!(input.import().is_err_and(|error| fault(&error)));
}

#[test]
fn attributes_are_validated() {
    let image = || Model::float(&[2, 3, 4]).floats("w", &[1, 2, 1, 1], &[1.0, 1.0]);
    let attribute = |model: Model| match model.fault() {
        Fault::Attribute { name, .. } => name,
        other => panic!("{other:?}"),
    };
    for (name, bad) in [
        ("strides", ints("strides", &[0, 1])),
        ("strides", ints("strides", &[1])),
        ("pads", ints("pads", &[-1, 0, 0, 0])),
        ("dilations", ints("dilations", &[1, i64::MAX])),
        ("kernel_shape", ints("kernel_shape", &[2, 2])),
        ("group", ints("group", &[1])),
    ] {
        assert_eq!(attribute(image().node("y = Conv(x, w)", &[bad])), name);
    }
    let axis = Model::float(&[4]).node("y = Concat(x, x)", &[int("axis", i64::MIN)]);
    assert_eq!(attribute(axis), "axis");
}

#[test]
fn odd_geometry_is_refused_or_means_what_it_says() {
    let strides = [ints("kernel_shape", &[1, 1]), ints("strides", &[1023, 8388607])];
    let pool = Model::float(&[2, 3, 4]).node("y = AveragePool(x)", &strides);
    assert!(matches!(pool.fault(), Fault::Shape { .. }));
    // The same axis twice: the second slice is of the result of the first.
    let twice = Model::float(&[5])
        .ints("starts", &[1, 1])
        .ints("ends", &[3, 9])
        .ints("axes", &[1, 1])
        .node("y = Slice(x, starts, ends, axes)", &[]);
    let network = twice.import().unwrap().network;
    assert_eq!(evaluate(&network, &[0.0, 1.0, 2.0, 3.0, 4.0]), [2.0]);
}

/// Operators of tensors make what their constants ask for, which files can make absurd.
#[test]
fn absurd_results_are_refused_before_allocation() {
    let too_large = |model: Model| matches!(model.fault(), Fault::TooLarge { .. });
    let image = || Model::float(&[2, 3, 4]);
    let huge = 1 << 40;
    assert!(too_large(image().ints("r", &[1, huge, huge, 1]).node("y = Tile(x, r)", &[])));
    let sizes = image().ints("s", &[1, 2, huge, 4]);
    assert!(too_large(sizes.node("y = Resize(x, , , s)", &[string("mode", "linear")])));
    let scales = image().floats("s", &[4], &[1.0, 1.0, 1e30, 1e30]);
    assert!(too_large(scales.node("y = Resize(x, , s)", &[])));
    let kernel = || image().floats("w", &[2, 1, 1, 1], &[1.0, 1.0]);
    let far = [ints("strides", &[1 << 23, 1 << 23])];
    assert!(too_large(kernel().node("y = ConvTranspose(x, w)", &far)));
    let shape = [ints("output_shape", &[huge, huge])];
    assert!(too_large(kernel().node("y = ConvTranspose(x, w)", &shape)));
    let many = Model::float(&[1 << 12]).floats("w", &[1 << 13], &[1.0; 1 << 13]);
    let outer = [string("equation", "bi,j->bij")];
    assert!(too_large(many.node("y = Einsum(x, w)", &outer)));
    let outer = [string("equation", "bi,bj->bij")];
    assert!(too_large(Model::float(&[1 << 13]).node("y = Einsum(x, x)", &outer)));
    let wide = [ints("kernel_shape", &[1 << 23, 1 << 23]), ints("pads", &[1 << 23; 4])];
    assert!(too_large(image().node("y = MaxPool(x)", &wide)));
    // Windows wider than the channels have all of them, however wide.
    let wide = image().node("y = LRN(x)", &[int("size", huge)]).import().unwrap().network;
    let sample: Vec<f32> = (0..24).map(|x| x as f32).collect();
    assert_eq!(evaluate(&wide, &sample), sample);
    let long = Model::float(&[1 << 13]).ints("a", &[1]).node("y = CumSum(x, a)", &[]);
    assert!(too_large(long));
}

/// Constants that name what is not there.
#[test]
fn places_outside_a_tensor_are_refused() {
    let shape = |model: Model| matches!(model.fault(), Fault::Shape { .. });
    let row = || Model::new(DataType::Float, &[1, 3]);
    assert!(shape(row().ints("i", &[3]).node("y = Gather(x, i)", &[int("axis", 1)])));
    assert!(shape(row().ints("i", &[0, -4]).node("y = GatherND(x, i)", &[])));
    assert!(shape(row().ints("i", &[0, 0, 0]).node("y = GatherND(x, i)", &[])));
    assert!(shape(row().ints("i", &[1]).node("y = GatherElements(x, i)", &[int("axis", 1)])));
    let blocks = Model::float(&[6, 2, 2]);
    assert!(shape(blocks.node("y = DepthToSpace(x)", &[int("blocksize", 2)])));
    let weights = Model::float(&[2, 3, 3]).floats("w", &[3, 1, 1, 1], &[1.0; 3]);
    assert!(shape(weights.node("y = ConvTranspose(x, w)", &[])));
    let pairs = Model::float(&[3]).floats("w", &[4], &[1.0; 4]);
    assert!(shape(pairs.node("y = Einsum(x, w)", &[string("equation", "bi,i->b")])));
}

#[test]
fn forms_that_are_not_supported_are_named() {
    let help = |model: Model| {
        let fault = model.fault();
        (fault.to_string(), fault.help())
    };
    let rounded = Model::float(&[3]).node("y = Cast(x)", &[int("to", DataType::Int64 as i64)]);
    let advice = "remove the cast: encrypted numbers are real";
    let reason = "it rounds encrypted numbers to INT64, which is not supported";
    assert_eq!(help(rounded), (reason.into(), advice));
    let truth = Model::float(&[3])
        .floats("c", &[], &[0.5])
        .node("t = Greater(x, c)", &[])
        .node("y = CastLike(x, t)", &[]);
    assert!(matches!(truth.fault(), Fault::Unsupported { .. }));
    let nothing = [ints("axes", &[])];
    let nothing = Model::float(&[3]).node("y = MeanVarianceNormalization(x)", &nothing);
    assert!(matches!(nothing.fault(), Fault::Attribute { name: "axes", .. }));
    let three = [string("equation", "bi,bi,bi->bi")];
    let cube = Model::float(&[3]).node("y = Einsum(x, x, x)", &three);
    assert!(matches!(cube.fault(), Fault::Unsupported { .. }));
    let unknown = Model::float(&[2, 3]).floats("s", &[3], &[1.0, 1.0, 2.0]);
    let mode = [string("mode", "lanczos")];
    assert!(matches!(
        unknown.node("y = Resize(x, , s)", &mode).fault(),
        Fault::Attribute { name: "mode", .. }
    ));
}
