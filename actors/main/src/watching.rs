//! Files whose change asks for a reload.

use std::path::PathBuf;
use std::time::Duration;

use coproc_core::watched::{Watched, is_of_users};
use tokio::time::{Instant, sleep};

use crate::actor::MainActor;
use crate::messages::MainNews;

/// Changes that follow one another as fast as this may follow from the reloads themselves.
const CLOSE: Duration = Duration::from_secs(2);
/// How many of them in a row are taken as they come.
const IN_A_ROW: u32 = 5;
/// The longest pause before the next is.
const LONGEST: Duration = Duration::from_secs(60);

/// How fast changes follow one another. Pure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pace {
    last: Option<Instant>,
    in_a_row: u32,
}

impl Pace {
    /// A change is told at `now`; gives the pause before it is heeded.
    fn next(&mut self, now: Instant) -> Duration {
        let follows = self.last.is_some_and(|last| now.duration_since(last) < CLOSE);
        self.in_a_row = if follows { self.in_a_row.saturating_add(1) } else { 0 };
        let pause = match self.in_a_row.checked_sub(IN_A_ROW) {
            None => Duration::ZERO,
            Some(more) => CLOSE.saturating_mul(2u32.saturating_pow(more)).min(LONGEST),
        };
        // The pause itself is no rest.
        self.last = Some(now + pause);
        pause
    }
}

impl MainActor {
    /// Watches what the config names, and nothing that it named before.
    pub(crate) fn watch_files(&mut self) {
        if let Some(before) = self.watching.take() {
            before.abort();
        }
        if self.config.watch.is_empty() || self.process.is_none() {
            return;
        }
        let scope = &self.surroundings.launcher.scope;
        let absolute = |path: &String| {
            let path = PathBuf::from(scope.interpolate(path));
            // Where the wrapper was started, there relative paths begin.
            std::path::absolute(&path).unwrap_or(path)
        };
        let paths: Vec<_> = self.config.watch.iter().map(absolute).collect();
        let (delay, parent) = (self.config.watch_delay, self.surroundings.parent.clone());
        self.watching = Some(actix_rt::spawn(async move {
            let told = |path: &std::path::Path| {
                parent.do_send(MainNews::FileChanged(path.display().to_string()));
            };
            if let Err(error) = watch(paths, delay, told).await {
                tracing::warn!(target: "pm", "main.watch: files cannot be watched: {error}");
            }
        }));
    }
}

/// Tells of each change. Ends with an error only.
async fn watch(
    paths: Vec<PathBuf>,
    delay: Duration,
    told: impl Fn(&std::path::Path),
) -> std::io::Result<()> {
    let mut watched = Watched::new(paths, is_of_users)?;
    let mut pace = Pace::default();
    loop {
        let path = watched.changed(delay).await?;
        let pause = pace.next(Instant::now());
        if !pause.is_zero() {
            let shown = humantime::format_duration(pause);
            tracing::warn!(target: "pm", "main.watch: `{}` changes after each reload, the next follows in {shown}", path.display());
            sleep(pause).await;
        }
        told(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_with_each_reload_is_slowed_down() {
        let mut now = Instant::now();
        let mut pace = Pace::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            now += Duration::from_secs(1);
            let pause = pace.next(now);
            now += pause;
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [0, 0, 0, 0, 0, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pace.next(now + Duration::from_secs(3)), Duration::ZERO, "after a rest");
    }
}
