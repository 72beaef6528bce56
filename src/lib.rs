//! `pic`, a private inference compiler: ONNX networks on encrypted inputs.

#[cfg(feature = "build")]
pub mod build;

/// temporary
pub trait Progress: Sync {
    /// temporary
    fn stage(&self, name: &str, total: u64);
    /// temporary
    fn advance(&self, done: u64);
}
pub use pic_ckks::model::SecurityLevel;
