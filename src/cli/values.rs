//! Readers of numbers with units on the command line. Their errors are what the user is told about the form of the
//! number.

use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;

use pic_ckks::model::SecurityLevel;
use pic_ckks::model::bootstrapping::EphemeralWeight;
use pic_ir::cost::Target;

/// Reads a whole number of at least 1.
pub fn count<T: TryFrom<NonZeroU64>>(text: &str) -> Result<T, String> {
    let count = text.parse().ok().and_then(|count: NonZeroU64| count.try_into().ok());
    count.ok_or_else(|| "a whole number is needed, at least 1".into())
}

/// Reads the position of a sample, counted from 0.
pub fn index(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "samples are counted from 0".into())
}

/// Numbers of threads that are accepted.
pub const THREADS: RangeInclusive<usize> = Target::THREADS;

/// Reads a number of threads in [`THREADS`].
pub fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads =
        text.parse().ok().filter(|threads: &NonZeroUsize| THREADS.contains(&threads.get()));
    threads.ok_or_else(|| format!("from {} to {} threads", THREADS.start(), THREADS.end()))
}

/// Reads a share, `0.5%` or `0.005`, as a fraction from 0 to 1.
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

/// Reads a duration above 0 and returns seconds: `10s`, `250ms`, `2min`, or a bare number of seconds.
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

/// Reads a factor of raw values, a number or a quotient: `0.00392` or `1/255`. It must not be zero, subnormal or
/// infinite in single precision.
pub fn factor(text: &str) -> Result<f64, String> {
    let number = |t: &str| t.trim().parse::<f64>().ok();
    let value = match text.split_once('/') {
        Some((a, b)) => number(a).zip(number(b)).map(|(a, b)| a / b),
        None => number(text),
    };
    let value = value.ok_or("write a number or a quotient, as 1/255")?;
    if !is_normal(value) {
        return Err("all samples would be the same, or infinite: write a factor as 1/255".into());
    }
    Ok(value)
}

/// Reads a mean of scaled input values, which must be finite in single precision.
pub fn mean(text: &str) -> Result<f64, String> {
    let value = text.trim().parse().ok().filter(|&value: &f64| (value as f32).is_finite());
    value.ok_or_else(|| "write a finite number, as 0.49".into())
}

/// Reads a standard deviation of scaled input values, above 0 and neither subnormal nor infinite in single precision.
pub fn deviation(text: &str) -> Result<f64, String> {
    let value = text.trim().parse().ok().filter(|&value| value > 0.0 && is_normal(value));
    value.ok_or_else(|| "write a number above 0, as 0.25".into())
}

/// Returns whether samples, which are of single precision, can be multiplied or divided by a value.
fn is_normal(value: f64) -> bool {
    (value as f32).is_normal()
}

/// Reads an amount of memory, `8GiB` or `500MiB`, and returns bytes, at least 1.
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

/// Reads a security level: 128, 192 or 256 bits.
pub fn security(text: &str) -> Result<SecurityLevel, String> {
    [SecurityLevel::Bits128, SecurityLevel::Bits192, SecurityLevel::Bits256]
        .into_iter()
        .find(|level| level.bits().to_string() == text)
        .ok_or_else(|| "128, 192 or 256 bits".into())
}

/// Reads −log2 of the largest probability that a bootstrap fails: 10 to 256 bits.
pub fn failure_bits(text: &str) -> Result<f64, String> {
    let bits = text.parse().ok().filter(|bits| (10.0..=256.0).contains(bits));
    bits.ok_or_else(|| "10 to 256 bits".into())
}

/// Reads the Hamming weight of the ephemeral secret: 32, 48 or 64.
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
        assert_eq!((factor("1/4"), factor("-2")), (Ok(0.25), Ok(-2.0)));
        assert_eq!((mean("-0.5"), deviation(" 0.5")), (Ok(-0.5), Ok(0.5)));
        assert_eq!(count("7"), Ok(NonZeroUsize::new(7).unwrap()));
        assert_eq!(threads("1024"), Ok(NonZeroUsize::new(1024).unwrap()));
        assert_eq!(index("0"), Ok(0));
        assert_eq!(size("1.5GiB"), Ok(3 << 29));
        assert_eq!(security("192"), Ok(SecurityLevel::Bits192));
        assert_eq!(failure_bits("128"), Ok(128.0));
        assert_eq!(ephemeral_weight("48"), Ok(EphemeralWeight::W48));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(["101%", "-1", "x", "", "NaN"].iter().all(|t| share(t).is_err()));
        assert!(["0", "-1s", "inf", "s", "1h"].iter().all(|t| seconds(t).is_err()));
        let useless = ["1/0", "a/b", "1/2/3", "", "0", "0/3", "1e-300", "1e300", "inf"];
        assert!(useless.iter().all(|t| factor(t).is_err()));
        assert!(["inf", "NaN", "1e300", "x"].iter().all(|t| mean(t).is_err()));
        assert!(["0", "-1", "inf", "NaN", "1e-300"].iter().all(|t| deviation(t).is_err()));
        assert!(["0", "-1", "1.5", "x", "99999999999999999999"].iter().all(|t| {
            count::<NonZeroU64>(t).is_err_and(|message| message.contains("at least 1"))
        }));
        assert!(
            ["0", "1025", "100000"]
                .iter()
                .all(|t| { threads(t).is_err_and(|message| message == "from 1 to 1024 threads") })
        );
        assert!(["-1", "x"].iter().all(|t| index(t).is_err_and(|m| m.contains("from 0"))));
        assert!(["8", "-1GiB", "GiB", "0KiB"].iter().all(|t| size(t).is_err()));
        assert!(["0", "127", "insecure"].iter().all(|t| security(t).is_err()));
        assert!(["0", "33", "-32", "many"].iter().all(|t| ephemeral_weight(t).is_err()));
        assert!(["9", "257", "NaN", "-128"].iter().all(|t| failure_bits(t).is_err()));
    }
}
