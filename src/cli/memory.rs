//! Memory of this process and machine, where the operating system tells it (Linux).

use std::fs;

/// Bytes of the resident set at its largest since the start, or since [`reset_peak`].
pub fn peak_bytes() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// Bytes that this process can still have without swapping.
pub fn available_bytes() -> Option<u64> {
    let machine = field("/proc/meminfo", "MemAvailable:")?;
    let left =
        |limit: u64| limit.saturating_sub(field("/proc/self/status", "VmSize:").unwrap_or(0));
    Some(address_space().map_or(machine, |limit| left(limit).min(machine)))
}

/// The most address space that this process may have, if that is limited, in bytes.
fn address_space() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let limits = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    limits.split_whitespace().next()?.parse().ok()
}

/// Starts a new measurement of the peak. Where the system refuses, the peak since the start stays.
pub fn reset_peak() {
    // See proc_pid_clear_refs(5).
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// A field in kibibytes, in bytes.
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
    fn the_machine_has_memory() {
        assert!(available_bytes().unwrap() > 1 << 20);
    }
}
