//! temporary
use super::Failure;
use std::path::Path;
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), Failure> {
    std::fs::write(path, serde_json::to_vec(value).unwrap())?;
    Ok(())
}
