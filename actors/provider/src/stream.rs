//! Streams: bytes to their end over a socket that one reader finds.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use coproc_acomm::Url;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::socket::{Socket, random};

/// How long a stream is kept for a reader who does not come.
const UNREAD: Duration = Duration::from_secs(600);
/// The same, once its provider is to end.
const UNREAD_AT_THE_END: Duration = Duration::from_secs(1);
/// How long a reader may take nothing.
const STUCK: Duration = Duration::from_secs(60);
/// How much is copied at a time.
const PIECE: usize = 64 << 10;

/// The folder of a provider's streams of one task.
pub(crate) fn folder(socket_dir: &std::path::Path, task: &str, service: &str) -> PathBuf {
    socket_dir.join("streams").join(task).join(service)
}

/// Fetches what a URL of a message offers.
///
/// # Errors
/// With `Unsupported` for anything but a Unix socket, and as the system says.
pub async fn fetch(url: &Url) -> io::Result<UnixStream> {
    if !url.is_unix() {
        let why = format!("a stream is fetched from a Unix socket, not from `{url}`");
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    UnixStream::connect(url.socket()).await
}

/// A socket for one reader that is not served yet.
#[derive(Debug)]
pub(crate) struct Offer(Socket);

impl Offer {
    pub(crate) fn bind(folder: PathBuf) -> io::Result<Self> {
        Socket::bind(&folder.join(format!("{}.sock", random()))).map(Self)
    }

    /// The address to be told to the reader.
    pub(crate) fn url(&self) -> Url {
        Url::unix(self.0.path().to_string_lossy())
    }

    /// Waits for the reader and gives it all that `source` has. `ending` turns true when the
    /// provider is to end.
    pub(crate) async fn serve(
        self,
        mut source: impl AsyncRead + Unpin,
        mut ending: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let nobody = async {
            let unread = async {
                tokio::time::sleep(UNREAD).await;
            };
            let ended = async {
                // A provider that is gone has ended too.
                let _ = ending.wait_for(|ending| *ending).await;
                tokio::time::sleep(UNREAD_AT_THE_END).await;
            };
            tokio::select! {
                () = unread => {}
                () = ended => {}
            }
        };
        let mut reader = tokio::select! {
            reader = self.0.accept() => reader,
            () = nobody => return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody read it")),
        };
        // There is one reader only.
        drop(self);
        let mut piece = vec![0; PIECE];
        loop {
            let length = source.read(&mut piece).await?;
            if length == 0 {
                return reader.shutdown().await;
            }
            timeout(STUCK, reader.write_all(&piece[..length])).await.map_err(|_| {
                io::Error::new(io::ErrorKind::TimedOut, "its reader takes nothing")
            })??;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_reader_has_all_and_a_second_nothing() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path(), "Task", "me");
        let offer = Offer::bind(folder.clone()).unwrap();
        let url = offer.url();
        assert!(url.path.starts_with(folder.to_str().unwrap()));
        let (_goes_on, ending) = watch::channel(false);
        let data: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        let source = data.clone();
        let served = tokio::spawn(async move { offer.serve(&source[..], ending).await });
        let mut read = Vec::new();
        fetch(&url).await.unwrap().read_to_end(&mut read).await.unwrap();
        assert_eq!(read, data);
        served.await.unwrap().unwrap();
        assert!(fetch(&url).await.is_err());
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_is_closed() {
        let root = tempfile::tempdir().unwrap();
        for end in [false, true] {
            let offer = Offer::bind(root.path().to_owned()).unwrap();
            let url = offer.url();
            let (_goes_on, ending) = watch::channel(end);
            let began = tokio::time::Instant::now();
            let error = offer.serve(&b"x"[..], ending).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(began.elapsed() > UNREAD_AT_THE_END * 2, !end);
            assert!(fetch(&url).await.is_err());
        }
        let http = Url::parse("http://h/x").unwrap();
        assert_eq!(fetch(&http).await.unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
