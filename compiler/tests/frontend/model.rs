//! Models built node by node, for what the corpus does not hold.

use pic_compiler::frontend::{Fault, Import, ImportError, import};
use pic_compiler::reference::Reference;
use pic_compiler::rewrite::canonicalize;
use pic_ir::network::Network;
use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::*;

use crate::{difference, evaluate};

/// A model of opset 17 from `x` to `y`.
pub struct Model(pub ModelProto);

impl Model {
    pub fn new(data_type: DataType, dims: &[i64]) -> Self {
        let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
        let graph = GraphProto {
            input: vec![value("x", data_type, dims)],
            output: vec![value("y", DataType::Float, &[])],
            ..Default::default()
        };
        Self(ModelProto {
            ir_version: 8,
            opset_import: vec![opset],
            graph: Some(graph),
            ..Default::default()
        })
    }

    /// From an f32 input with a dynamic batch.
    pub fn float(dims: &[i64]) -> Self {
        Self::new(DataType::Float, &[&[0], dims].concat())
    }

    pub fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.as_mut().unwrap()
    }

    /// Under another version of the operator set.
    pub fn opset(mut self, version: i64) -> Self {
        self.0.opset_import[0].version = version;
        self
    }

    /// Adds a node written as `z = Op(x, y)`.
    pub fn node(mut self, text: &str, attributes: &[AttributeProto]) -> Self {
        let (outputs, call) = text.split_once(" = ").unwrap();
        let (op_type, operands) = call.strip_suffix(')').unwrap().split_once('(').unwrap();
        let names = |list: &str| list.split(", ").map(str::to_owned).collect::<Vec<_>>();
        self.graph().node.push(NodeProto {
            name: format!("{op_type}_of_{}", names(operands)[0]),
            op_type: op_type.into(),
            input: names(operands),
            output: names(outputs),
            attribute: attributes.to_vec(),
            ..Default::default()
        });
        self
    }

    /// Adds a constant of real numbers.
    pub fn floats(mut self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.graph().initializer.push(TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: DataType::Float as i32,
            float_data: values.to_vec(),
            ..Default::default()
        });
        self
    }

    /// Adds a constant of integers.
    pub fn ints(mut self, name: &str, values: &[i64]) -> Self {
        self.graph().initializer.push(TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: DataType::Int64 as i32,
            int64_data: values.to_vec(),
            ..Default::default()
        });
        self
    }

    pub fn import(&self) -> Result<Import, ImportError> {
        import(&self.0.encode_to_vec())
    }

    /// The simplified network, after comparing it with tract.
    pub fn checked(&self) -> Network {
        let imported = self.import().unwrap().network;
        let network = canonicalize(&imported);
        let len = imported.graph[imported.input()].len();
        let sample: Vec<f32> = (0..len).map(|k| (k * 29 % 23) as f32 - 11.0).collect();
        let expected = Reference::new(&self.0.encode_to_vec()).unwrap().run(&sample).unwrap();
        for network in [&imported, &network] {
            let error = difference(&evaluate(network, &sample), &expected);
            assert!(error <= 1e-5, "differs by {error}\n{network}");
        }
        network
    }

    /// The only fault of the only refused node.
    pub fn fault(&self) -> Fault {
        match self.import() {
            Err(ImportError::Nodes(refusals)) if refusals.len() == 1 => refusals[0].fault.clone(),
            other => panic!("{other:?}"),
        }
    }
}

pub fn value(name: &str, data_type: DataType, dims: &[i64]) -> ValueInfoProto {
    let dim = |&d: &i64| Dimension {
        value: match d {
            0 => Some(dimension::Value::DimParam("N".into())),
            d => Some(dimension::Value::DimValue(d)),
        },
        ..Default::default()
    };
    let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let shape = shape.filter(|s| !s.dim.is_empty());
    let tensor = type_proto::Tensor { elem_type: data_type as i32, shape };
    let r#type =
        TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..Default::default() }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: AttributeType::Int as i32, ..Default::default() }
}

pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    let (name, r#type) = (name.into(), AttributeType::Ints as i32);
    AttributeProto { name, ints: ints.to_vec(), r#type, ..Default::default() }
}

pub fn string(name: &str, text: &str) -> AttributeProto {
    let (name, r#type) = (name.into(), AttributeType::String as i32);
    AttributeProto { name, s: text.as_bytes().to_vec(), r#type, ..Default::default() }
}
