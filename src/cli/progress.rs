//! Progress of long work, on stderr: a bar on a terminal, now and then a line elsewhere.
//!
//! Work that ends within a second shows nothing.

use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pic::Progress;

/// Work shorter than this is not worth showing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Time between lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// Shows one stage of work at a time.
pub struct Reporter {
    terminal: bool,
    stage: Mutex<Option<Stage>>,
}

struct Stage {
    name: String,
    total: u64,
    /// When it is time to show something again.
    due: Instant,
    bar: Option<ProgressBar>,
}

impl Reporter {
    /// A reporter for this process' stderr.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), stage: Mutex::new(None) }
    }

    /// Removes what is shown of the current stage.
    pub fn finish(&self) {
        if let Some(bar) = self.lock().take().and_then(|stage| stage.bar) {
            bar.finish_and_clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Stage>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Reporter {
    fn stage(&self, name: &str, total: u64) {
        self.finish();
        let due = Instant::now() + PATIENCE;
        *self.lock() = Some(Stage { name: name.into(), total, due, bar: None });
    }

    fn advance(&self, done: u64) {
        let mut guard = self.lock();
        let Some(stage) = guard.as_mut() else { return };
        if let Some(bar) = &stage.bar {
            bar.set_position(done);
        } else if Instant::now() >= stage.due {
            if self.terminal {
                stage.bar = Some(stage.start_bar(done));
            } else {
                eprintln!("{}: {done} of {}", stage.name, stage.total);
                stage.due = Instant::now() + INTERVAL;
            }
        }
    }
}

impl Stage {
    fn start_bar(&self, done: u64) -> ProgressBar {
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(self.total), target);
        let template = "{msg:24} {wide_bar} {pos}/{len} {eta:>4}";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
        bar.set_message(self.name.clone());
        bar.set_position(done);
        bar
    }
}
