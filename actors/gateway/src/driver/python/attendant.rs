//! What hooks ask of the gateway, as it comes over a worker's connection.

use std::io;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::Shared;
use super::codec::{self, Decoder, Kind, pair};
use super::door::next;
use crate::driver::saying::say;

/// Does what comes over a connection, one after another.
pub(super) async fn serve(
    shared: &Shared,
    worker: &str,
    mut stream: UnixStream,
    mut decoder: Decoder,
) -> io::Result<()> {
    while let Some(frame) = next(&mut stream, &mut decoder).await? {
        let attendant = shared.attendant.get();
        match (frame.kind, pair(&frame.payload)) {
            (Kind::Log, Some((level, line))) => {
                say!("python", level, format!("{worker}: {}", String::from_utf8_lossy(&line)));
            }
            (Kind::Get, _) => {
                let name = String::from_utf8_lossy(&frame.payload);
                let data = match attendant {
                    Some(attendant) => attendant.data(&name).await,
                    None => Vec::new(),
                };
                let mut answer = BytesMut::new();
                codec::put(&mut answer, frame.id, Kind::Value, &data);
                stream.write_all(&answer).await?;
            }
            (Kind::Set, Some((name, mut life))) => {
                // Without a length of life there is nothing to keep.
                let seconds = life.first_chunk::<8>().map(|bytes| i64::from_le_bytes(*bytes));
                if let (Some(attendant), Some(seconds)) = (attendant, seconds) {
                    attendant.keep(name, life.split_off(8).to_vec(), seconds).await;
                }
            }
            (Kind::Trigger, Some((name, message))) => {
                if let Some(attendant) = attendant {
                    attendant.voice.pass_on(name, &String::from_utf8_lossy(&message));
                }
            }
            (kind, _) => return Err(io::Error::other(format!("{worker} sends {kind:?} here"))),
        }
    }
    Ok(())
}
