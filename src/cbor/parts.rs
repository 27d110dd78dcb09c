//! Items as they are encoded, passed without a look into them.

use alloc::vec::Vec;

use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};

use crate::cbor::Malformed;

/// The encoded list that has no items.
pub const EMPTY_LIST: &[u8] = &[0x80];
/// The encoded map that has no entries.
pub const EMPTY_MAP: &[u8] = &[0xa0];

/// A key and its value, as they are encoded.
pub type Entry<'b> = (&'b [u8], &'b [u8]);

/// The entries of the map that fills `bytes`.
///
/// # Errors
/// `Malformed`.
pub fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>, Malformed> {
    let mut decoder = Decoder::new(bytes);
    let length = decoder.map().ok().flatten().ok_or(Malformed)?;
    let mut item = || {
        let start = decoder.position();
        skip(&mut decoder).map_err(|_| Malformed)?;
        bytes.get(start..decoder.position()).ok_or(Malformed)
    };
    let mut entries = Vec::new();
    // Each item takes at least one byte, or the skip fails: a long length is not believed.
    for _ in 0..length {
        entries.push((item()?, item()?));
    }
    if decoder.position() == bytes.len() { Ok(entries) } else { Err(Malformed) }
}

/// Passes one item, in no more memory whatever it is. What the crate has for that keeps a list of
/// the lengths that are not definite, sixteen times as long as the bytes that make it. We write
/// none such.
pub(super) fn skip(decoder: &mut Decoder<'_>) -> Result<(), Error> {
    let mut items = 1_u64;
    while items > 0 {
        let inner = match decoder.datatype()? {
            Type::Array => decoder.array()?.unwrap_or(0),
            Type::Map => decoder.map()?.unwrap_or(0).saturating_mul(2),
            Type::Tag => decoder.tag().map(|_| 1)?,
            Type::ArrayIndef | Type::MapIndef | Type::Break => {
                return Err(Error::message("length"));
            }
            _ => decoder.skip().map(|()| 0)?,
        };
        items = (items - 1).saturating_add(inner);
    }
    Ok(())
}
