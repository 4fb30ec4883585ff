//! The conversation with a client: its request as a stream of netstrings, our answer as pairs. Pure.
//!
//! A request is the number of arguments, the arguments, any number of strings for stdin, and an empty
//! string that ends stdin. An answer is pairs of a tag and a value, the status the last of them.

use coproc_core::exit::ExitStatus;

use crate::arguments::{Arguments, Nul};
use crate::netstring::{Decoder, Malformed, Piece, encode};

/// The most arguments, the program's name among them.
pub const MAX_ARGUMENTS: u64 = 65535;
/// The longest argument in bytes: what Linux takes as one, less its NUL.
pub const MAX_ARGUMENT: u64 = 131_071;
/// The longest argument vector in bytes.
pub const MAX_ARGUMENT_BYTES: u64 = 2 << 20;
/// The most bytes of output in one pair. Four such pairs make one send of at most 16 KiB.
pub const MAX_VALUE: usize = 4080;
/// How many pairs make one send.
pub const PAIRS: usize = 4;
/// Room for a tag with its value's length, and for the comma that ends a pair.
const HEAD: usize = "6:stdout,4080:".len();
/// The length of a full pair.
pub const PAIR: usize = HEAD + MAX_VALUE + 1;

/// What the client said next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// All arguments are there: the program may start.
    Arguments(Arguments),
    /// Bytes for the program's stdin.
    Stdin(&'a [u8]),
    /// Stdin ends here.
    EndMark,
}

/// A request that is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It is not made of netstrings.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The first string is no number of arguments.
    #[error("the number of arguments is not a number from 1 to {MAX_ARGUMENTS}")]
    Count,
    /// An argument is longer than Linux takes.
    #[error("an argument is longer than {MAX_ARGUMENT} bytes")]
    Long,
    /// All together are too long.
    #[error("the arguments are longer than {MAX_ARGUMENT_BYTES} bytes")]
    TooMuch,
    /// An argument that would end early.
    #[error("an argument holds a NUL byte")]
    Nul,
}

impl From<Nul> for Violation {
    fn from(Nul: Nul) -> Self {
        Self::Nul
    }
}

#[derive(Debug)]
enum Stage {
    Count(Vec<u8>),
    Arguments { left: u64, bytes: u64, all: Arguments },
    Stdin { empty: bool },
    Ended,
}

/// A request as far as it has come.
#[derive(Debug)]
pub struct Request {
    decoder: Decoder,
    stage: Stage,
}

impl Default for Request {
    fn default() -> Self {
        Self { decoder: Decoder::default(), stage: Stage::Count(Vec::new()) }
    }
}

impl Request {
    /// Takes the next that is said off the front of `input`; `None` once all of it is taken. What
    /// comes after the end mark is passed over.
    ///
    /// # Errors
    /// At the first byte that breaks the protocol; nothing is said after it.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Said<'a>>, Violation> {
        loop {
            if matches!(self.stage, Stage::Ended) {
                *input = &[];
                return Ok(None);
            }
            let Some(piece) = self.decoder.next(input)? else { return Ok(None) };
            match (&mut self.stage, piece) {
                // More digits could only be leading zeros, and a blank number is none.
                (Stage::Count(_), Piece::Begin(length)) if !(1..=20).contains(&length) => {
                    return Err(Violation::Count);
                }
                (Stage::Count(digits), Piece::Payload(payload)) => {
                    if !payload.iter().all(u8::is_ascii_digit) {
                        return Err(Violation::Count);
                    }
                    digits.extend_from_slice(payload);
                }
                (Stage::Count(digits), Piece::End) => {
                    let count = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
                    let count = count.filter(|count| (1..=MAX_ARGUMENTS).contains(count));
                    self.stage = Stage::Arguments {
                        left: count.ok_or(Violation::Count)?,
                        bytes: 0,
                        all: Arguments::default(),
                    };
                }
                (Stage::Arguments { bytes, .. }, Piece::Begin(length)) => {
                    if length > MAX_ARGUMENT {
                        return Err(Violation::Long);
                    }
                    *bytes += length;
                    if *bytes > MAX_ARGUMENT_BYTES {
                        return Err(Violation::TooMuch);
                    }
                }
                (Stage::Arguments { all, .. }, Piece::Payload(payload)) => all.extend(payload)?,
                (Stage::Arguments { left, all, .. }, Piece::End) => {
                    all.end_word();
                    *left -= 1;
                    if *left == 0 {
                        let arguments = std::mem::take(all);
                        self.stage = Stage::Stdin { empty: false };
                        return Ok(Some(Said::Arguments(arguments)));
                    }
                }
                (Stage::Stdin { empty }, Piece::Begin(length)) => *empty = length == 0,
                (Stage::Stdin { .. }, Piece::Payload(payload)) => {
                    return Ok(Some(Said::Stdin(payload)));
                }
                (Stage::Stdin { empty: true }, Piece::End) => {
                    self.stage = Stage::Ended;
                    return Ok(Some(Said::EndMark));
                }
                (Stage::Count(_) | Stage::Stdin { .. } | Stage::Ended, _) => {}
            }
        }
    }

    /// Whether it ends in the middle of a string if nothing more comes.
    pub fn is_cut(&self) -> bool {
        !self.has_ended() && !self.decoder.is_between()
    }

    /// Whether the end mark has come.
    pub fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }
}

/// One of the program's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl Stream {
    fn tag(self) -> &'static [u8] {
        match self {
            Self::Stdout => b"6:stdout,",
            Self::Stderr => b"6:stderr,",
        }
    }
}

/// Appends output as pairs of at most [`MAX_VALUE`] bytes each.
pub fn encode_output(stream: Stream, output: &[u8], out: &mut Vec<u8>) {
    for value in output.chunks(MAX_VALUE) {
        out.extend_from_slice(stream.tag());
        encode(value, out);
    }
}

/// Room for the pairs of one send, laid out so that output is read straight into its place.
#[derive(Debug)]
pub struct Frame {
    bytes: Box<[u8; PAIRS * PAIR]>,
}

impl Default for Frame {
    fn default() -> Self {
        Self { bytes: Box::new([0; PAIRS * PAIR]) }
    }
}

impl Frame {
    /// The places of the values, to be filled from the first on.
    pub fn values(&mut self) -> [&mut [u8]; PAIRS] {
        let mut pairs = self.bytes.chunks_exact_mut(PAIR);
        std::array::from_fn(|_| match pairs.next() {
            Some(pair) => &mut pair[HEAD..HEAD + MAX_VALUE],
            None => &mut [],
        })
    }

    /// Closes the pairs around the first `filled` bytes of the values; gives the bytes to send.
    pub fn close(&mut self, stream: Stream, filled: usize) -> &[u8] {
        let full = filled / MAX_VALUE;
        let rest = filled % MAX_VALUE;
        for pair in self.bytes.chunks_exact_mut(PAIR).take(full) {
            pair[..9].copy_from_slice(stream.tag());
            pair[9..HEAD].copy_from_slice(b"4080:");
            pair[PAIR - 1] = b',';
        }
        let mut end = full * PAIR;
        if rest > 0 {
            let length = rest.to_string();
            let head = stream.tag().len() + length.len() + 1;
            // A shorter head than that of a full pair: the value moves up to it.
            self.bytes.copy_within(end + HEAD..end + HEAD + rest, end + head);
            let pair = &mut self.bytes[end..];
            pair[..9].copy_from_slice(stream.tag());
            pair[9..head - 1].copy_from_slice(length.as_bytes());
            pair[head - 1] = b':';
            pair[head + rest] = b',';
            end += head + rest + 1;
        }
        &self.bytes[..end]
    }
}

/// How `termsig` names a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termsig {
    /// By its number.
    Number,
    /// By its name without `SIG`, as sockexec did.
    Name,
}

/// Appends the status pair, the last of every answer to a program that ran.
pub fn encode_status(status: ExitStatus, termsig: Termsig, out: &mut Vec<u8>) {
    let signal = match status {
        ExitStatus::Code(code) => {
            encode(b"exitcode", out);
            return encode((code & 0xff).to_string().as_bytes(), out);
        }
        ExitStatus::Signal(signal) => signal,
    };
    encode(b"termsig", out);
    match (termsig, signal.number()) {
        (Termsig::Number, number) => encode(number.to_string().as_bytes(), out),
        (Termsig::Name, 29) => encode(b"POLL", out),
        (Termsig::Name, 1..=31) => encode(signal.to_string().as_bytes(), out),
        (Termsig::Name, _) => encode(b"???", out),
    }
}

#[cfg(test)]
mod tests {
    use coproc_core::signal::Signal;
    use proptest::prelude::*;

    use super::*;

    /// The arguments, stdin joined, and whether the end mark came.
    type Whole = (Vec<Vec<u8>>, Vec<u8>, bool);

    /// Everything that a request says.
    fn read(bytes: &[u8], step: usize) -> Result<Whole, Violation> {
        let mut request = Request::default();
        let (mut arguments, mut stdin, mut ended) = (Vec::new(), Vec::new(), false);
        for mut input in bytes.chunks(step.max(1)) {
            while let Some(said) = request.next(&mut input)? {
                match said {
                    Said::Arguments(all) => {
                        assert!(arguments.is_empty());
                        arguments = all.words().map(|word| word.to_bytes().to_vec()).collect();
                    }
                    Said::Stdin(bytes) => stdin.extend_from_slice(bytes),
                    Said::EndMark => ended = true,
                }
            }
        }
        assert_eq!(ended, request.has_ended());
        Ok((arguments, stdin, ended))
    }

    #[test]
    fn a_request_in_one_piece_and_byte_by_byte() {
        for step in [1, 2, 3, 1000] {
            let (arguments, stdin, ended) =
                read(b"1:2,3:cat,0:,3:one,3:two,0:,5:after,junk", step).unwrap();
            assert_eq!(arguments, [b"cat".to_vec(), vec![]]);
            assert_eq!(stdin, b"onetwo");
            assert!(ended);
        }
    }

    #[test]
    fn d16_d17_counts_that_are_none() {
        for bytes in [
            &b"1:0,0:,"[..],
            b"0:,",
            b"2:+1,5:uname,",
            b"2:-1,5:uname,",
            b"2:1x,5:uname,0:,",
            b"2: 1,",
            b"10:4294967297,",
            b"10:4294967295,",
            b"9:999999999,",
            b"5:65536,",
            b"21:000000000000000000001,",
            b"20:99999999999999999999,",
        ] {
            assert_eq!(read(bytes, 1), Err(Violation::Count), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(read(b"5:65535,", 1).is_ok());
        assert!(read(b"2:01,5:uname,", 1).is_ok());
    }

    #[test]
    fn arguments_that_are_too_long_are_refused_when_they_are_announced() {
        assert_eq!(read(b"1:1,131072:", 1), Err(Violation::Long));
        assert_eq!(read(b"1:1,99999999999:", 1), Err(Violation::Long));
        assert!(read(b"1:1,131071:", 1).is_ok());
        let mut many = b"2:17,".to_vec();
        (0..17).for_each(|_| encode(&vec![b'x'; 131_071], &mut many));
        assert_eq!(read(&many, 1000), Err(Violation::TooMuch));
    }

    #[test]
    fn a_request_is_cut_within_a_string_alone() {
        let cut = |bytes: &[u8]| {
            let (mut request, mut input) = (Request::default(), bytes);
            while request.next(&mut input).unwrap().is_some() {}
            request.is_cut()
        };
        for bytes in [&b""[..], b"1:1,3:cat,", b"1:1,3:cat,5:hello,", b"1:1,3:cat,0:,5:hel"] {
            assert!(!cut(bytes), "{}", String::from_utf8_lossy(bytes));
        }
        for bytes in
            [&b"1:1,3:cat,5"[..], b"1:1,3:cat,5:hel", b"1:1,3:cat,5:hello", b"1:1,3:cat,0:"]
        {
            assert!(cut(bytes), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn d18_an_argument_is_never_cut_short() {
        assert_eq!(read(b"1:2,4:echo,3:a\0b,0:,", 1000), Err(Violation::Nul));
    }

    #[test]
    fn every_status_has_its_pair() {
        let text = |status, termsig| {
            let mut out = Vec::new();
            encode_status(status, termsig, &mut out);
            String::from_utf8(out).unwrap()
        };
        let signal = |number| ExitStatus::Signal(Signal::from_number(number).unwrap());
        assert_eq!(text(ExitStatus::Code(0), Termsig::Name), "8:exitcode,1:0,");
        assert_eq!(text(ExitStatus::Code(255), Termsig::Number), "8:exitcode,3:255,");
        assert_eq!(text(signal(15), Termsig::Number), "7:termsig,2:15,");
        for (number, name) in [
            (15, "4:TERM,"),
            (6, "4:ABRT,"),
            (29, "4:POLL,"),
            (16, "6:STKFLT,"),
            (31, "3:SYS,"),
            (34, "3:???,"),
            (40, "3:???,"),
            (64, "3:???,"),
        ] {
            assert_eq!(text(signal(number), Termsig::Name), format!("7:termsig,{name}"));
        }
    }

    proptest! {
        #[test]
        fn a_frame_holds_what_encoding_gives(filled in 1usize..=PAIRS * MAX_VALUE, stderr: bool) {
            let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
            let output: Vec<u8> = (0..filled).map(|at| (at % 251) as u8).collect();
            let mut frame = Frame::default();
            let mut rest = &output[..];
            for value in frame.values() {
                let here = value.len().min(rest.len());
                value[..here].copy_from_slice(&rest[..here]);
                rest = &rest[here..];
            }
            let mut expected = Vec::new();
            encode_output(stream, &output, &mut expected);
            let bytes = frame.close(stream, filled);
            prop_assert!(bytes.len() <= 16 << 10);
            prop_assert_eq!(bytes, expected);
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in "([0-9]{1,3}:[a-z0-9]{0,5},|[0-9:,a]){0,30}",
            step in 1usize..20,
        ) {
            let _ = read(bytes.as_bytes(), step);
        }

        #[test]
        fn steps_change_nothing(
            arguments in prop::collection::vec("[ -~]{0,20}", 1..5),
            stdin in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..5),
            step in 1usize..20,
        ) {
            let mut bytes = Vec::new();
            encode(arguments.len().to_string().as_bytes(), &mut bytes);
            arguments.iter().for_each(|argument| encode(argument.as_bytes(), &mut bytes));
            stdin.iter().for_each(|string| encode(string, &mut bytes));
            encode(b"", &mut bytes);
            let (read_arguments, read_stdin, ended) = read(&bytes, step).unwrap();
            let as_bytes: Vec<_> = arguments.iter().map(|a| a.as_bytes().to_vec()).collect();
            prop_assert_eq!(read_arguments, as_bytes);
            prop_assert_eq!(read_stdin, stdin.concat());
            prop_assert!(ended);
        }
    }
}
