//! Bundles are brought from their source, several at once, and whoever waits hears of those that have come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::runtime::Builder;

use super::place::Stamp;
use super::signature::PublicKey;
use super::source::{self, Base, Got};
use super::{Bundles, Meanwhile, Names, One};

/// How many bundles are brought at once.
const AT_ONCE: usize = 4;
/// How long those that have come wait for others that follow them.
const TOGETHER: Duration = Duration::from_secs(1);

impl Bundles {
    /// The bundles that the source is asked for.
    pub(super) fn to_bring<'a>(
        &self,
        names: impl IntoIterator<Item = &'a Names>,
    ) -> BTreeSet<One<'a>> {
        let all = names
            .into_iter()
            .flat_map(|names| names.parts.iter().map(|part| (names.hash.as_str(), part)));
        let asked = |(hash, part): &One<'_>| {
            self.config.refresh || !self.place().has(hash, part.folder.as_deref())
        };
        let possible = self.config.download && self.config.base.is_some();
        all.filter(|one| possible && asked(one)).collect()
    }

    /// Brings these, and returns why some did not come.
    pub(super) fn bring<'a>(
        &self,
        wanted: BTreeSet<One<'a>>,
        key: Option<&PublicKey>,
        meanwhile: Meanwhile<'_>,
    ) -> BTreeMap<One<'a>, String> {
        let threads = wanted.len().min(AT_ONCE);
        let left = Mutex::new(wanted.into_iter());
        let failed = Mutex::new(BTreeMap::new());
        // A server that is not there is not asked again and again for one bundle after the other.
        let unwell = AtomicBool::new(false);
        let work = |came: Sender<()>| {
            loop {
                let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(one) = next else { return };
                match self.bring_one(one, key, &unwell) {
                    // Whoever hears of it waits for all of them.
                    Ok(()) => drop(came.send(())),
                    Err(why) => {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).insert(one, why);
                    }
                }
            }
        };
        // Threads of their own, as this may be called where no runtime can be entered.
        thread::scope(|scope| {
            let (came, coming) = channel();
            for _ in 0..threads {
                let came = came.clone();
                scope.spawn(|| work(came));
            }
            drop(came);
            while is_for_now(&coming) {
                meanwhile();
            }
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn bring_one(
        &self,
        (hash, part): One<'_>,
        key: Option<&PublicKey>,
        unwell: &AtomicBool,
    ) -> Result<(), String> {
        let Some(base) = &self.config.base else { return Ok(()) };
        let folder = part.folder.as_deref();
        let source = base.shown(&part.name);
        let known = self.place().stamp(hash, folder).filter(|stamp| stamp.source == source);
        let known = known.filter(|_| self.place().has(hash, folder));
        let got = match base {
            Base::Folder(path) => {
                source::read(&path.join(&part.name), self.config.max_size, known.as_ref())?
            }
            Base::Server(_) => {
                let url = source.parse().map_err(|error| format!("{source}: {error}"))?;
                let runtime = Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|error| error.to_string())?;
                let once = unwell.load(Ordering::Relaxed);
                let got = runtime.block_on(self.client.fetch(&url, known.as_ref(), once));
                // Looking up names of hosts is not waited for.
                runtime.shutdown_background();
                if let Err(error) = &got {
                    unwell.fetch_or(error.is_for_now(), Ordering::Relaxed);
                }
                got.map_err(|error| error.to_string())?
            }
        };
        let Got::Archive { bytes, etag, modified } = got else { return Ok(()) };
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let stamp = Stamp { source, sha256, etag, modified };
        if known.is_some_and(|known| known.sha256 == stamp.sha256) {
            return Ok(());
        }
        let draft = self.unpacked(&bytes, key)?;
        drop(bytes);
        let put = self.place().put(draft, hash, folder, &stamp);
        put.map_err(|error| format!("cannot be kept: {error}"))?;
        tracing::info!(target: "gateway", "the bundle `{}` came from {}", part.name, stamp.source);
        Ok(())
    }
}

/// Waits until some have come, and whoever follows them closely. Whether there are others still.
fn is_for_now(coming: &Receiver<()>) -> bool {
    if coming.recv().is_err() {
        return false;
    }
    let until = Instant::now() + TOGETHER;
    loop {
        match coming.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}
