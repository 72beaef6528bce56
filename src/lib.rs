//! `pic`, a private inference compiler: ONNX networks on encrypted inputs.
