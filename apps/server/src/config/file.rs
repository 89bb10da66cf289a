//! The configuration file.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use figment::value::Dict;

use super::{Fault, toml};

/// The variable that names the file where the command line does not.
const VARIABLE: &str = "GAME_REALTIME_CONFIG";

/// A configuration file, and who named it.
pub(crate) struct ConfigFile {
    pub(super) path: PathBuf,
    named_by: &'static str,
}

impl ConfigFile {
    /// The file that the command line or else the environment names.
    pub(crate) fn named_by(option: Option<&Path>) -> Option<Self> {
        match option {
            Some(path) => Some(Self { path: path.to_path_buf(), named_by: "--config" }),
            // An empty variable is the usual way to say that there is none.
            None => env::var_os(VARIABLE)
                .filter(|path| !path.is_empty())
                .map(|path| Self { path: path.into(), named_by: VARIABLE }),
        }
    }

    /// The values in the file.
    ///
    /// # Errors
    /// When it cannot be read or is not TOML.
    pub(super) fn read(&self) -> Result<Dict, Fault> {
        let text = fs::read_to_string(&self.path)
            .map_err(|error| self.fault(format!("cannot be read: {error}")))?;
        toml::read(&text).map_err(|message| self.fault(message))
    }

    fn fault(&self, message: String) -> Fault {
        Fault {
            key: self.path.display().to_string(),
            message,
            origin: format!("file named by {}", self.named_by),
        }
    }
}
