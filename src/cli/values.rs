//! How numbers with units are written on the command line.

use pic_ckks::model::SecurityLevel;
use pic_ckks::model::bootstrapping::EphemeralWeight;

/// A share: `0.5%` or `0.005`.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(number) => (number, 0.01),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&(value * unit)) => Ok(value * unit),
        _ => Err("a share is written 0.5% or 0.005, from 0 to 100%".into()),
    }
}

/// A duration in seconds: `10s`, `250ms`, `2min`, or a bare number of seconds.
pub fn seconds(text: &str) -> Result<f64, String> {
    let units = [("ms", 1e-3), ("min", 60.0), ("s", 1.0), ("", 1.0)];
    let (number, unit) = units
        .iter()
        .find_map(|&(name, unit)| text.strip_suffix(name).map(|n| (n, unit)))
        .expect("the last unit is a suffix of every text");
    match number.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value * unit),
        _ => Err("a duration is written 10s, 250ms or 2min".into()),
    }
}

/// A number or a quotient: `0.00392` or `1/255`.
pub fn quotient(text: &str) -> Result<f64, String> {
    let number = |t: &str| t.trim().parse::<f64>().ok();
    let value = match text.split_once('/') {
        Some((a, b)) => number(a).zip(number(b)).map(|(a, b)| a / b),
        None => number(text),
    };
    value.filter(|v| v.is_finite()).ok_or_else(|| "write a number or a quotient, as 1/255".into())
}

/// An amount of memory in bytes: `8GiB`, `500MiB`.
pub fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let parsed = units.iter().find_map(|&(unit, shift)| {
        let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Some(number * (1u64 << shift) as f64)
    });
    match parsed {
        Some(bytes) if bytes >= 1.0 && bytes.is_finite() => Ok(bytes as u64),
        _ => Err("a size is written 8GiB or 500MiB".into()),
    }
}

/// Bits of security.
pub fn security(text: &str) -> Result<SecurityLevel, String> {
    [SecurityLevel::Bits128, SecurityLevel::Bits192, SecurityLevel::Bits256]
        .into_iter()
        .find(|level| level.bits().to_string() == text)
        .ok_or_else(|| "128, 192 or 256 bits".into())
}

/// Minus log2 of the probability of a failure.
pub fn failure_bits(text: &str) -> Result<f64, String> {
    let bits = text.parse().ok().filter(|bits| (10.0..=256.0).contains(bits));
    bits.ok_or_else(|| "10 to 256 bits".into())
}

/// Hamming weight of the ephemeral secret.
pub fn ephemeral_weight(text: &str) -> Result<EphemeralWeight, String> {
    EphemeralWeight::ALL
        .into_iter()
        .find(|weight| weight.to_string() == text)
        .ok_or_else(|| "32, 48 or 64".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        assert_eq!(share("0.5%"), Ok(0.005));
        assert_eq!(share("0.25"), Ok(0.25));
        assert_eq!(seconds("10s"), Ok(10.0));
        assert_eq!(seconds("250ms"), Ok(0.25));
        assert_eq!(seconds("2min"), Ok(120.0));
        assert_eq!(seconds("1.5"), Ok(1.5));
        assert_eq!(quotient("1/4"), Ok(0.25));
        assert_eq!(size("1.5GiB"), Ok(3 << 29));
        assert_eq!(security("192"), Ok(SecurityLevel::Bits192));
        assert_eq!(failure_bits("128"), Ok(128.0));
        assert_eq!(ephemeral_weight("48"), Ok(EphemeralWeight::W48));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(["101%", "-1", "x", "", "NaN"].iter().all(|t| share(t).is_err()));
        assert!(["0", "-1s", "inf", "s", "1h"].iter().all(|t| seconds(t).is_err()));
        assert!(["1/0", "a/b", "1/2/3", ""].iter().all(|t| quotient(t).is_err()));
        assert!(["8", "-1GiB", "GiB", "0KiB"].iter().all(|t| size(t).is_err()));
        assert!(["0", "127", "insecure"].iter().all(|t| security(t).is_err()));
        assert!(["0", "33", "-32", "many"].iter().all(|t| ephemeral_weight(t).is_err()));
        assert!(["9", "257", "NaN", "-128"].iter().all(|t| failure_bits(t).is_err()));
    }
}
