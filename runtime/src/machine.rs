//! The machine that this process runs on: its kernels and threads, as programs are priced for it, and its memory, where
//! the operating system tells it (Linux).
//!
//! Nothing here decides anything: a server keeps within the memory that is told here, other work asks
//! [`require_memory`] before it begins.

use std::fs;

use pic_ckks::ring::detect_kernels;
use pic_ir::cost::Target;

use crate::Error;

/// Kernel set of this process, and number of threads of the pool from which the function is called.
///
/// # Errors
/// [`Error::Ckks`] if the environment variable `PIC_KERNELS` names kernels that there are not, or not here.
pub fn target() -> Result<Target, Error> {
    let threads = rayon::current_num_threads().min(*Target::THREADS.end());
    Ok(Target { kernels: detect_kernels().map_err(pic_ckks::Error::from)?, threads })
}

/// Memory that this process can still take without swapping, in bytes: the available memory of the machine, or the
/// rest of a limit on the process's address space, if that is less. None if the system does not tell.
pub fn available_bytes() -> Option<u64> {
    let machine = field("/proc/meminfo", "MemAvailable:")?;
    let left =
        |limit: u64| limit.saturating_sub(field("/proc/self/status", "VmSize:").unwrap_or(0));
    Some(address_space().map_or(machine, |limit| left(limit).min(machine)))
}

/// Refuses work that takes more memory than is available: `needed` bytes for `work`, a description such as "running
/// this program".
///
/// # Errors
/// [`Error::Memory`].
pub fn require_memory(work: &'static str, needed: u64) -> Result<(), Error> {
    match available_bytes() {
        Some(available) if needed > available => Err(Error::Memory { work, needed, available }),
        _ => Ok(()),
    }
}

/// Peak of the process's resident set since its start, or since [`reset_peak`], in bytes. None if the system does
/// not tell.
pub fn peak_bytes() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// Starts a new measurement of the peak. It has no effect if the system refuses.
pub fn reset_peak() {
    // See proc_pid_clear_refs(5).
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Limit of the process's address space, in bytes; none if there is no limit.
fn address_space() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let limits = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    limits.split_whitespace().next()?.parse().ok()
}

/// Value in bytes of a field that a file gives in kibibytes.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_peak_sees_what_was_touched() {
        reset_peak();
        let before = peak_bytes().unwrap();
        let block = vec![1u8; 256 << 20];
        assert!(std::hint::black_box(&block).iter().all(|&b| b == 1));
        assert!(peak_bytes().unwrap() >= before + (200 << 20));
    }

    #[test]
    fn more_than_the_machine_has_is_refused() {
        assert!(available_bytes().unwrap() > 1 << 20);
        require_memory("a test", 1 << 20).unwrap();
        let error = require_memory("a test", u64::MAX).unwrap_err();
        assert!(matches!(error, Error::Memory { work: "a test", needed: u64::MAX, .. }), "{error}");
    }
}
