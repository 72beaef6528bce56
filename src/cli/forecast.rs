//! Forecast of a program's time on this machine, beside that on the machine it was compiled for.

use std::fmt;

use pic_ckks::model::KernelSet;
use pic_ir::cost::{CostModel, Target};
use pic_ir::prediction::Prediction;
use pic_runtime::machine;
use serde::Serialize;

use super::Session;
use super::error::Failure;
use super::speed::Speed;
use super::text::seconds;

/// Forecasts closer than this are the same for people.
const NEGLIGIBLE: f64 = 0.01;

/// This machine: its kernels, its threads and its speed, measured or shipped.
#[derive(Debug)]
pub struct Machine {
    /// Kernel set and threads of this process.
    pub target: Target,
    speed: Option<Speed>,
}

impl Machine {
    /// The machine that this process runs on.
    pub fn detect(session: &Session) -> Result<Self, Failure> {
        let target = machine::target()?;
        let speed = Speed::load(target.kernels).unwrap_or_else(|reason| {
            session.warn(reason);
            None
        });
        Ok(Self { target, speed })
    }

    /// Prices of this machine.
    pub fn cost(&self) -> CostModel {
        let shipped = || CostModel::of(self.target);
        self.speed.as_ref().map_or_else(shipped, |speed| speed.cost(self.target.threads))
    }

    /// Forecast of a program's time on this machine.
    pub fn forecast(&self, predicted: &Prediction) -> Forecast {
        Forecast {
            seconds: self.cost().seconds(predicted.work),
            kernels: self.target.kernels,
            threads: self.target.threads,
            measured_factor: self.speed.as_ref().map(|speed| speed.factor),
            target: predicted.cost.target,
            target_seconds: predicted.seconds(),
        }
    }
}

/// Time of one encrypted sample; keys of `--json`.
#[derive(Debug, Serialize)]
pub struct Forecast {
    /// Kernel set that runs on it.
    pub seconds: f64,
    /// The kernels that run on it.
    pub kernels: KernelSet,
    /// Number of its threads.
    pub threads: usize,
    /// Ratio of measured times to those by the shipped prices; none if it was not measured.
    pub measured_factor: Option<f64>,
    /// The machine for which the program was compiled.
    pub target: Target,
    /// On that machine.
    pub target_seconds: f64,
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernels, threads, target, target_seconds, .. } = *self;
        let here = Target { kernels, threads };
        write!(f, "{} a sample on {here}", seconds(self.seconds))?;
        if let Some(factor) = self.measured_factor {
            write!(f, " (measured factor {factor:.2})")?;
        }
        if target != here {
            write!(f, "; {} on {target}, for which it was compiled", seconds(target_seconds))?;
        } else if (target_seconds / self.seconds - 1.0).abs() > NEGLIGIBLE {
            write!(f, "; {} at the prices it was compiled with", seconds(target_seconds))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pic_ckks::model::op_counts::OpCounts;

    use super::*;

    fn predicted(target: &str) -> Prediction {
        let cost = CostModel::of(target.parse().unwrap());
        let work = OpCounts { transforms: 1e9, ..OpCounts::default() };
        Prediction { work, cost, ..Prediction::default() }
    }

    #[test]
    fn the_target_is_told_where_it_differs() {
        let target = "portable:2".parse().unwrap();
        let here = Machine { target, speed: None };
        let text = here.forecast(&predicted("portable:2")).to_string();
        assert!(text.ends_with("a sample on portable:2"), "{text}");
        let text = here.forecast(&predicted("ifma:2")).to_string();
        assert!(text.contains(" on portable:2; ") && text.contains(" on ifma:2, "), "{text}");
        let measured = Machine { target, speed: Some(Speed::new(target, 2.0, 1.5)) };
        let text = measured.forecast(&predicted("portable:2")).to_string();
        assert!(
            text.contains("(measured factor 2.00)") && text.contains("at the prices"),
            "{text}"
        );
    }
}
