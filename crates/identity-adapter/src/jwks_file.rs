//! The file with the key set: read at the start, and again whenever it has changed.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use game_realtime_application::panics::{caught_now, panic_point};
use tokio::{task::spawn_blocking, time::sleep};
use tracing::{info, warn};

use crate::{
    Algorithm, Problem,
    key_set::{KeySet, KeySetFault},
};

/// How often the file is looked at. It is not watched: a watch follows the file, not the name, and
/// misses what replaces it (a rename over it, or the symbolic links of a Kubernetes volume).
const INTERVAL: Duration = Duration::from_secs(1);
/// Larger files are not read.
const LARGEST: u64 = 1 << 20;

/// The key set that a file holds now.
pub(crate) struct JwksFile {
    path: PathBuf,
    algorithm: Algorithm,
    keys: Arc<ArcSwap<KeySet>>,
    /// The file that was read last, good or bad.
    judged: Stamp,
    /// What the last warning was about; `None` if all is well.
    warned: Option<Option<Stamp>>,
}

/// Tells one content of a file from another, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a look at the file has shown.
enum Look {
    Same,
    Loaded(usize),
    Failed(Problem),
    /// As before, and said before.
    StillFails,
}

impl JwksFile {
    /// Reads the file.
    pub(crate) fn open(path: PathBuf, algorithm: Algorithm) -> Result<Self, Problem> {
        let unreadable = |error| Problem::Unreadable { path: path.clone(), error };
        // Before it is read: if it changes in between, the next look will see it.
        let judged = Stamp::of(&path).map_err(unreadable)?;
        let keys = Arc::new(ArcSwap::from_pointee(load(&path, algorithm)?));
        Ok(Self { path, algorithm, keys, judged, warned: None })
    }

    /// The keys, always those that were read last.
    pub(crate) fn keys(&self) -> Arc<ArcSwap<KeySet>> {
        Arc::clone(&self.keys)
    }

    /// Follows the file until it is dropped. What cannot be used leaves the keys as they are.
    pub(crate) async fn follow(self) {
        let mut file = self;
        loop {
            sleep(INTERVAL).await;
            // A file system that hangs holds up nobody else.
            let looked = spawn_blocking(move || {
                let look = file.look();
                (file, look)
            });
            let Ok((same, look)) = looked.await else { return };
            file = same;
            let path = file.path.display();
            match look {
                Look::Same | Look::StillFails => {}
                Look::Loaded(keys) => {
                    count("loaded");
                    info!(%path, keys, "key set loaded");
                }
                Look::Failed(problem) => {
                    count("failed");
                    warn!(%path, %problem, "key set not loaded: the keys stay as they are");
                }
            }
        }
    }

    fn look(&mut self) -> Look {
        let stamp = Stamp::of(&self.path).ok();
        if stamp == Some(self.judged) {
            return Look::Same;
        }
        match load(&self.path, self.algorithm) {
            Ok(keys) => {
                let count = keys.len();
                self.keys.store(Arc::new(keys));
                self.judged = stamp.unwrap_or(self.judged);
                self.warned = None;
                Look::Loaded(count)
            }
            Err(problem) => {
                // What could not be read may be readable the next time.
                if !matches!(problem, Problem::Unreadable { .. }) {
                    self.judged = stamp.unwrap_or(self.judged);
                }
                if self.warned.replace(stamp) == Some(stamp) {
                    return Look::StillFails;
                }
                Look::Failed(problem)
            }
        }
    }
}

impl Stamp {
    /// Of what the name leads to in the end.
    fn of(path: &std::path::Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

fn load(path: &std::path::Path, algorithm: Algorithm) -> Result<KeySet, Problem> {
    let read = || {
        let mut json = Vec::new();
        File::open(path)?.take(LARGEST + 1).read_to_end(&mut json)?;
        if json.len() as u64 > LARGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
        }
        Ok(json)
    };
    let json = read().map_err(|error| Problem::Unreadable { path: path.to_path_buf(), error })?;
    // A file that a library cannot cope with is a bad one; the next may be good.
    let parsed = caught_now(|| {
        panic_point("key set");
        KeySet::parse(&json, algorithm)
    });
    parsed
        .unwrap_or(Err(KeySetFault::NotAKeySet))
        .map_err(|fault| Problem::BadKeySet { path: path.to_path_buf(), fault })
}

fn count(outcome: &'static str) {
    metrics::counter!("game_realtime_jwks_reloads_total", "outcome" => outcome).increment(1);
}
