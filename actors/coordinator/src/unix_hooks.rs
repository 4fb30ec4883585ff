//! Which Unix sockets a request may name as its hook and its stream, to which providers then connect as
//! whoever they are.

use std::fs;

use coproc_acomm::Url;

use crate::config::Coordinator;
use crate::oneshot::beneath;

/// Which ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnixHooks {
    /// All, as the original allowed.
    #[default]
    Any,
    /// Those below the coordinator's folder of sockets.
    SocketDir,
}

impl UnixHooks {
    /// Whether a request may name this socket.
    pub(crate) fn allow(self, config: &Coordinator, url: &Url) -> bool {
        match self {
            Self::Any => true,
            Self::SocketDir => {
                let path = url.socket();
                // A link at its end must not lead out either. One that is not there yet is judged by
                // its folder.
                let real = fs::canonicalize(&path).unwrap_or(path);
                beneath(&config.socket_dir, &real)
            }
        }
    }
}
