//! Measured speed of this machine relative to the shipped prices, which `pic bench` keeps in the user's cache
//! folder.
//!
//! It scales forecasts that are printed. No decision depends on it: compiling gives the same whether a
//! machine was measured or not.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pic_ckks::model::unit_costs::{amdahl, gain};
use pic_ckks::model::{KernelSet, UnitCosts};
use pic_ir::cost::{CostModel, Target};
use serde::{Deserialize, Serialize};

use super::error::Failure;
use super::output;

/// Longest file that is read, bytes.
const MAX_BYTES: u64 = 1 << 16;

/// Largest factor or gain that counts as a measurement.
const MOST: f64 = 1e3;

/// A measurement of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// The version of `pic` that measured.
    version: String,
    /// The kernels that ran.
    kernels: KernelSet,
    /// The prices that were shipped for them.
    shipped: UnitCosts,
    /// Ratio of the time of one thread to that by the shipped prices.
    pub factor: f64,
    /// Threads of the machine.
    pub threads: usize,
    /// Ratio of the times of one and of all threads.
    pub gain: f64,
}

impl Speed {
    /// A measurement of this machine by this version.
    pub fn new(Target { kernels, threads }: Target, factor: f64, gain: f64) -> Self {
        let version = env!("CARGO_PKG_VERSION").into();
        Self { version, kernels, shipped: UnitCosts::of(kernels), factor, threads, gain }
    }

    /// Reads the measurement that `pic bench` kept for a kernel set. None if there is none, or if prices or version
    /// have changed.
    ///
    /// # Errors
    /// A message if the file exists and cannot be used.
    pub fn load(kernels: KernelSet) -> Result<Option<Self>, String> {
        let Some(path) = path(kernels) else { return Ok(None) };
        let told = |reason: &dyn std::fmt::Display| {
            format!(
                "`{}` is ignored ({reason}): measure again with `pic bench --quick`",
                path.display()
            )
        };
        let text = match read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(told(&e)),
        };
        let found: Self = serde_json::from_str(&text).map_err(|e| told(&e))?;
        if !found.is_sound() || found.kernels != kernels {
            return Err(told(&"no measurement of these kernels"));
        }
        Ok(found.is_current().then_some(found))
    }

    /// Keeps it in place of what was kept before. Returns where; `None` if there is no cache folder.
    pub fn store(&self) -> Result<Option<PathBuf>, Failure> {
        let Some(path) = path(self.kernels) else { return Ok(None) };
        let folder = path.parent().expect("the path names a file in a folder");
        std::fs::create_dir_all(folder).map_err(|e| Failure::file("make", folder, &e))?;
        output::write_json(&path, self)?;
        Ok(Some(path))
    }

    /// Prices of this machine on a number of threads: as measured on as many, else by Amdahl's law.
    pub fn cost(&self, threads: usize) -> CostModel {
        let speedup = match (self.threads, threads) {
            (measured, asked) if measured == asked => self.gain,
            (1, _) => gain(self.kernels, threads),
            (measured, _) => amdahl(measured, self.gain, threads),
        };
        let target = Target { kernels: self.kernels, threads };
        CostModel { target, prices: self.shipped.scaled(self.factor), speedup }
    }

    fn is_sound(&self) -> bool {
        let possible = |x: f64| (1.0 / MOST..=MOST).contains(&x);
        possible(self.factor)
            && possible(self.gain)
            && Target::THREADS.contains(&self.threads)
            && self.shipped.are_sound()
    }

    fn is_current(&self) -> bool {
        let UnitCosts { transform, multiplication, conversion, word } = self.shipped;
        let shipped = UnitCosts::of(self.kernels);
        let pairs = [
            (transform, shipped.transform),
            (multiplication, shipped.multiplication),
            (conversion, shipped.conversion),
            (word, shipped.word),
        ];
        // Decimal figures may be read one unit in the last place off.
        let same = |(a, b): (f64, f64)| (a - b).abs() <= 1e-9 * b;
        self.version == env!("CARGO_PKG_VERSION") && pairs.into_iter().all(same)
    }
}

/// Path of the measurement for a kernel set, by the XDG base directory specification, which ignores relative paths.
fn path(kernels: KernelSet) -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("pic").join(format!("speed-{kernels}.json")))
}

fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed() -> Speed {
        Speed::new(Target { kernels: KernelSet::Portable, threads: 4 }, 1.25, 2.0)
    }

    #[test]
    fn a_factor_scales_the_shipped_prices() {
        let shipped = CostModel::of(Target { kernels: KernelSet::Portable, threads: 4 });
        let measured = speed().cost(4);
        assert_eq!(measured.prices, shipped.prices.scaled(1.25));
        assert_eq!(measured.speedup, 2.0);
        assert_eq!(speed().cost(1).speedup, 1.0);
        assert!((speed().cost(2).speedup - 1.5).abs() < 1e-12);
        // One thread says nothing of more.
        let single = Speed { threads: 1, gain: 1.0, ..speed() };
        assert_eq!(single.cost(4).speedup, shipped.speedup);
    }

    #[test]
    fn measurements_hold_for_the_prices_and_version_they_were_made_with() {
        let text = serde_json::to_string(&speed()).unwrap();
        assert_eq!(serde_json::from_str::<Speed>(&text).unwrap(), speed());
        assert!(speed().is_current() && speed().is_sound());
        assert!(!Speed { version: "0.0.0".into(), ..speed() }.is_current());
        assert!(!Speed { shipped: speed().shipped.scaled(1.01), ..speed() }.is_current());
        for factor in [0.0, -1.0, 1e9, f64::NAN, f64::INFINITY] {
            assert!(!Speed { factor, ..speed() }.is_sound());
            assert!(!Speed { gain: factor, ..speed() }.is_sound());
        }
        assert!(!Speed { threads: 0, ..speed() }.is_sound());
    }
}
