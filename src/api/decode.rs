//! The one place where requests are decoded: counted first, so that what a message takes in memory
//! is bounded before any of it is there.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use crate::api::bounds;
use crate::api::errors::Failure;

/// Decodes a message. Of a request the lists are checked against their bounds before; what is no
/// request of ours, such as an answer that a client reads, is decoded as it is.
pub(crate) fn decode<M: Message + Name + Default>(message: &[u8]) -> Result<M, Failure> {
    if let Some(shape) = bounds::shape(&M::full_name())? {
        bounds::check(shape, message)?;
    }
    M::decode(message).map_err(|_| Failure::BadMessage)
}

/// The codec of the generated servers and clients: what it decodes goes through `decode`.
#[derive(Debug)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(PhantomData)
    }
}

/// The decoder of [`BoundedCodec`].
#[derive(Debug)]
pub struct BoundedDecoder<U>(PhantomData<U>);

impl<U: Message + Name + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let message = source.copy_to_bytes(source.remaining());
        Ok(Some(decode(&message)?))
    }
}
