//! tonic's codec for messages of protobuf, with buffers of the right size.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// What frames a message.
const FRAME: usize = 5;
/// How much is read into at first; larger answers make it grow.
const ANSWER: usize = 2048;

/// Writes an `M` of a length that is known, reads an `R`.
pub(super) struct Sized<M, R> {
    length: usize,
    kinds: PhantomData<(M, R)>,
}

impl<M, R> Sized<M, R> {
    pub(super) fn new(length: usize) -> Self {
        Self { length, kinds: PhantomData }
    }
}

impl<M, R> Codec for Sized<M, R>
where
    M: Message + Send + 'static,
    R: Message + Default + Send + 'static,
{
    type Encode = M;
    type Decode = R;
    type Encoder = ProstEncoder<M>;
    type Decoder = ProstDecoder<R>;

    fn encoder(&mut self) -> Self::Encoder {
        let whole = self.length + FRAME;
        ProstCodec::<M, R>::raw_encoder(BufferSettings::new(whole, whole))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<M, R>::raw_decoder(BufferSettings::new(ANSWER, ANSWER))
    }
}
