//! The machine that this process runs on, as programs are priced for it.

use pic_ckks::ring::detect_kernels;
use pic_ir::cost::Target;

use crate::Error;

/// The kernels that this process runs, and the threads of the pool that it is called from.
///
/// # Errors
/// [`Error::Ckks`] if the environment variable `PIC_KERNELS` names kernels that there are not, or not here.
pub fn target() -> Result<Target, Error> {
    let threads = rayon::current_num_threads().min(*Target::THREADS.end());
    Ok(Target { kernels: detect_kernels().map_err(pic_ckks::Error::from)?, threads })
}
