//! Plaintext reference: runs an ONNX file by tract, which shares no code with this compiler.
//!
//! Used by tests and by `verify` to compare against; no pass reads it.

use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

use crate::frontend::{self, ImportError};

/// A model as tract runs it, for one sample at a time.
pub struct Reference {
    plan: Arc<TypedRunnableModel>,
    shape: Vec<usize>,
    input_type: DatumType,
}

impl Reference {
    /// Loads the model in `bytes`, with a batch axis of 1 if it is not fixed.
    ///
    /// # Errors
    /// [`ImportError`]; [`ImportError::Reference`] if tract cannot run the model.
    pub fn new(bytes: &[u8]) -> Result<Self, ImportError> {
        let (model, shape) = frontend::pruned(frontend::decode(bytes)?)?;
        let load = || -> TractResult<Self> {
            let tract = tract_onnx::onnx().with_ignore_value_info(true);
            let mut inference = tract.model_for_proto_model(&model)?;
            let input_type =
                inference.input_fact(0)?.datum_type.concretize().unwrap_or(DatumType::F32);
            inference.set_input_fact(0, InferenceFact::dt_shape(input_type, &shape))?;
            let plan = inference.into_optimized()?.into_runnable()?;
            Ok(Self { plan, shape: shape.clone(), input_type })
        };
        flatten(frontend::guarded(load))
    }

    /// The output for one sample, both row-major and without the batch axis.
    ///
    /// # Errors
    /// [`ImportError::Reference`].
    pub fn run(&self, sample: &[f32]) -> Result<Vec<f32>, ImportError> {
        let run = || -> TractResult<Vec<f32>> {
            // A batch that the file fixes is filled with the sample.
            let batch = self.shape[0];
            let input = Tensor::from_shape(&self.shape, &sample.repeat(batch))?;
            let input = input.cast_to_dt(self.input_type)?.into_owned();
            let output = self.plan.run(tvec!(input.into_tvalue()))?.remove(0);
            let output = output.cast_to::<f32>()?.into_owned();
            let output = output.to_plain_array_view::<f32>()?;
            Ok(output.iter().copied().take(output.len() / batch).collect())
        };
        flatten(frontend::guarded(run))
    }
}

fn flatten<T>(result: Result<TractResult<T>, String>) -> Result<T, ImportError> {
    result
        .and_then(|r| r.map_err(|e| format!("{e:#}")))
        .map_err(|reason| ImportError::Reference { reason })
}
