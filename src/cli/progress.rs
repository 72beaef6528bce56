//! Progress of long work, on stderr: a bar on a terminal, now and then a line elsewhere.

use std::fmt;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use pic::Progress;

/// Shortest work that is mentioned if there is no terminal.
const PATIENCE: Duration = Duration::from_secs(1);

/// Time between lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// Shows one stage of work at a time.
pub struct Reporter {
    terminal: bool,
    stage: Mutex<Option<Stage>>,
}

enum Stage {
    Bar(ProgressBar),
    /// Name, units of work (0 if not known), and when a line is due.
    Lines(String, u64, Instant),
}

impl Reporter {
    /// A reporter for this process's stderr.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), stage: Mutex::new(None) }
    }

    /// Removes what is shown of the current stage.
    pub fn finish(&self) {
        if let Some(Stage::Bar(bar)) = self.lock().take() {
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
        *self.lock() = Some(if self.terminal {
            Stage::Bar(start_bar(name, total))
        } else {
            Stage::Lines(name.into(), total, Instant::now() + PATIENCE)
        });
    }

    fn advance(&self, done: u64) {
        match &mut *self.lock() {
            Some(Stage::Bar(bar)) => bar.set_position(done),
            Some(Stage::Lines(name, total, due)) if Instant::now() >= *due => {
                *due = Instant::now() + INTERVAL;
                eprintln!("{name}: {done}{}", Total(*total));
            }
            _ => {}
        }
    }
}

/// ` of 12`, or nothing where the total is not known.
struct Total(u64);

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " of {}", self.0) }
    }
}

fn start_bar(name: &str, total: u64) -> ProgressBar {
    let (bar, template) = if total == 0 {
        (ProgressBar::new_spinner(), "{spinner} {msg} {pos} {elapsed}")
    } else {
        (ProgressBar::new(total), "{msg:24} {wide_bar} {pos}/{len} {eta:>4}")
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
    bar.set_message(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
