//! Peak memory of this process, where the operating system tells it (Linux).

use std::fs;

/// Bytes of the resident set at its largest since the start, or since [`reset_peak`].
pub fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Starts a new measurement of the peak. Where the system refuses, the peak since the start stays.
pub fn reset_peak() {
    // See proc(5), /proc/pid/clear_refs.
    let _ = fs::write("/proc/self/clear_refs", "5");
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
}
