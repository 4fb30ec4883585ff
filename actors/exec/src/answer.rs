//! A server's answer as its client reads it: pairs of a tag and a value. Pure.

use coproc_core::exit::ExitStatus;
use coproc_core::signal::Signal;

use crate::netstring::{Decoder, Malformed, Piece};
use crate::protocol::Stream;

/// The longest tag, `exitcode`.
const MAX_TAG: u64 = 8;
/// The longest status: a name such as `RTMIN+30`.
const MAX_STATUS: u64 = 8;

/// An answer that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It is not made of netstrings.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A tag that no server has.
    #[error("there is no tag `{0}`")]
    Tag(String),
    /// A code or a signal that is none.
    #[error("`{value}` is no value of `{tag}`")]
    Status {
        /// Which of the two.
        tag: &'static str,
        /// What was said.
        value: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Output(Stream),
    ExitCode,
    TermSig,
}

impl Tag {
    fn read(text: &[u8]) -> Option<Self> {
        match text {
            b"stdout" => Some(Self::Output(Stream::Stdout)),
            // What a server cannot attribute is nothing that it understood.
            b"stderr" | b"unknown" => Some(Self::Output(Stream::Stderr)),
            b"exitcode" => Some(Self::ExitCode),
            b"termsig" => Some(Self::TermSig),
            _ => None,
        }
    }
}

/// An answer as far as it has come.
#[derive(Debug, Default)]
pub struct Answer {
    decoder: Decoder,
    /// That of the value which follows or is being read.
    tag: Option<Tag>,
    /// A tag or a status that is being read.
    text: Vec<u8>,
    status: Option<ExitStatus>,
}

impl Answer {
    /// Takes the next piece of output off the front of `input`; `None` once all of it is taken.
    ///
    /// # Errors
    /// At the first byte that no answer has. It is of no use after that.
    pub fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<(Stream, &'a [u8])>, NoAnswer> {
        while let Some(piece) = self.decoder.next(input)? {
            match (self.tag, piece) {
                (Some(Tag::Output(stream)), Piece::Payload(output)) => {
                    return Ok(Some((stream, output)));
                }
                (Some(Tag::Output(_)), Piece::Begin(_)) => {}
                (Some(Tag::Output(_)), Piece::End) => self.tag = None,
                (None, Piece::Begin(length)) if length > MAX_TAG => {
                    return Err(NoAnswer::Tag(format!("{length} bytes")));
                }
                (Some(tag), Piece::Begin(length)) if length > MAX_STATUS => {
                    return Err(refused(tag, format!("{length} bytes")));
                }
                (_, Piece::Begin(_)) => {}
                (_, Piece::Payload(payload)) => self.text.extend_from_slice(payload),
                (None, Piece::End) => {
                    let text = std::mem::take(&mut self.text);
                    let tag = Tag::read(&text);
                    let no_tag = || NoAnswer::Tag(String::from_utf8_lossy(&text).into_owned());
                    self.tag = Some(tag.ok_or_else(no_tag)?);
                }
                (Some(tag), Piece::End) => {
                    let text = std::mem::take(&mut self.text);
                    let text = String::from_utf8_lossy(&text);
                    let status = read_status(tag, &text);
                    let status = status.ok_or_else(|| refused(tag, text.into_owned()))?;
                    self.tag = None;
                    // sockexec may say it twice.
                    self.status.get_or_insert(status);
                }
            }
        }
        Ok(None)
    }

    /// How the program ended, if that was said.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }
}

fn read_status(tag: Tag, text: &str) -> Option<ExitStatus> {
    match tag {
        Tag::ExitCode => text.parse::<u8>().ok().map(|code| ExitStatus::Code(code.into())),
        // The one name of sockexec's that is not ours.
        Tag::TermSig if text == "POLL" => Signal::from_number(29).map(ExitStatus::Signal),
        Tag::TermSig => text.parse().ok().map(ExitStatus::Signal),
        Tag::Output(_) => None,
    }
}

fn refused(tag: Tag, value: String) -> NoAnswer {
    NoAnswer::Status { tag: if tag == Tag::TermSig { "termsig" } else { "exitcode" }, value }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{Termsig, encode_output, encode_status};

    type Read = (Vec<u8>, Vec<u8>, Option<ExitStatus>);

    /// Both streams and the status, read in pieces of `step` bytes.
    fn read(bytes: &[u8], step: usize) -> Result<Read, NoAnswer> {
        let mut answer = Answer::default();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        for mut input in bytes.chunks(step) {
            while let Some((stream, output)) = answer.next(&mut input)? {
                match stream {
                    Stream::Stdout => stdout.extend_from_slice(output),
                    Stream::Stderr => stderr.extend_from_slice(output),
                }
            }
        }
        Ok((stdout, stderr, answer.status()))
    }

    #[test]
    fn output_may_follow_the_status_and_the_first_status_counts() {
        let bytes = b"8:exitcode,1:3,6:stdout,1:a,7:unknown,1:b,8:exitcode,1:0,";
        for step in [1, 2, 1000] {
            let expected = (b"a".to_vec(), b"b".to_vec(), Some(ExitStatus::Code(3)));
            assert_eq!(read(bytes, step), Ok(expected));
        }
    }

    #[test]
    fn every_signal_is_read_by_number_and_by_name() {
        for number in 1..=64 {
            let status = ExitStatus::Signal(Signal::from_number(number).unwrap());
            for termsig in [Termsig::Number, Termsig::Name] {
                let mut bytes = Vec::new();
                encode_status(status, termsig, &mut bytes);
                let named = termsig == Termsig::Number || number < 32;
                let read = read(&bytes, 1).map(|(_, _, status)| status);
                assert_eq!(read.ok(), named.then_some(Some(status)), "{number}");
            }
        }
    }

    #[test]
    fn what_no_server_says() {
        for bytes in [
            &b"hello"[..],
            b"6:stdin,,1:a,",
            b"9:",
            b"0:,",
            b"8:exitcode,3:256,",
            b"8:exitcode,2:-1,",
            b"8:exitcode,0:,",
            b"8:exitcode,9:",
            b"7:termsig,2:65,",
            b"7:termsig,3:???,",
        ] {
            assert!(read(bytes, 1).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_is_read(
            outputs in prop::collection::vec(
                (any::<bool>(), prop::collection::vec(any::<u8>(), 0..9000)), 0..6),
            code: u8,
            step in 1usize..20_000,
        ) {
            let (mut bytes, mut stdout, mut stderr) = (Vec::new(), Vec::new(), Vec::new());
            for (first, output) in outputs {
                let stream = if first { Stream::Stdout } else { Stream::Stderr };
                encode_output(stream, &output, &mut bytes);
                if first { stdout.extend(output) } else { stderr.extend(output) }
            }
            let status = ExitStatus::Code(code.into());
            encode_status(status, Termsig::Number, &mut bytes);
            prop_assert_eq!(read(&bytes, step), Ok((stdout, stderr, Some(status))));
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in "(6:stdout,|8:exitcode,|7:termsig,|[0-9]{1,2}:[a-z0-9]{0,5},|[0-9:,a]){0,20}",
            step in 1usize..20,
        ) {
            let _ = read(bytes.as_bytes(), step);
        }
    }
}
