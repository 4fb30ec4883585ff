//! Streams: bytes to their end over a socket that one reader finds.

use std::io;
use std::path::Path;
use std::time::Duration;

use coproc_acomm::Url;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::socket::{Socket, make_folders, random};

/// How long a stream is kept for a reader who does not come.
const UNREAD: Duration = Duration::from_secs(600);
/// The same, once its provider is to end.
const UNREAD_AT_THE_END: Duration = Duration::from_secs(1);
/// How long a reader may take nothing.
const STUCK: Duration = Duration::from_secs(60);
/// How much is copied at a time.
const PIECE: usize = 64 << 10;

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

/// Data for one reader: a socket that is not served yet.
#[derive(Debug)]
pub struct Offer(Socket);

impl Offer {
    /// A new socket in the folder of streams of a task and of somebody with this name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn bind(socket_dir: &Path, task: &str, service_name: &str) -> io::Result<Self> {
        let folder = socket_dir.join("streams").join(task).join(service_name);
        make_folders(socket_dir, &folder)?;
        Socket::bind(&folder.join(format!("{}.sock", random()))).map(Self)
    }

    /// The address to be told to the reader.
    pub fn url(&self) -> Url {
        Url::unix(self.0.path().to_string_lossy())
    }

    /// Waits for the reader and gives it all that `source` has. If the reader has not come when
    /// `ending` is over, it has a second left; otherwise ten minutes.
    ///
    /// # Errors
    /// With `TimedOut` where nobody came, or the reader took nothing for a minute, and as the system
    /// says.
    pub async fn serve(
        self,
        mut source: impl AsyncRead + Unpin,
        ending: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let ended = async {
            ending.await;
            tokio::time::sleep(UNREAD_AT_THE_END).await;
        };
        let nobody = || Err(io::Error::new(io::ErrorKind::TimedOut, "nobody read it"));
        let mut reader = tokio::select! {
            reader = self.0.accept() => reader,
            () = tokio::time::sleep(UNREAD) => return nobody(),
            () = ended => return nobody(),
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
    use std::future::pending;

    #[tokio::test]
    async fn one_reader_has_all_and_a_second_nothing() {
        let root = tempfile::tempdir().unwrap();
        let offer = Offer::bind(root.path(), "Task", "me").unwrap();
        let url = offer.url();
        let folder = root.path().join("streams/Task/me");
        assert!(url.path.starts_with(folder.to_str().unwrap()));
        let data: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        let source = data.clone();
        let served = tokio::spawn(async move { offer.serve(&source[..], pending()).await });
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
            let offer = Offer::bind(root.path(), "Task", "me").unwrap();
            let url = offer.url();
            let ending = async {
                if !end {
                    pending::<()>().await;
                }
            };
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
