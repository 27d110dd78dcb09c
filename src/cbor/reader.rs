//! What is read: the reader, and how basic values are taken from it.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use minicbor::decode::{Decoder, Error};

use crate::cbor::parts::skip;
use crate::cbor::{ARRAY, Malformed, NULL, ONE_BYTE_END, Read};

/// A place in a CBOR text. After the first failure it takes nothing more, and gives values without
/// a meaning until someone asks.
#[derive(Debug)]
pub struct Reader<'b> {
    decoder: Decoder<'b>,
    /// Items that are left of the array that is open.
    left: u64,
    /// Bytes in memory that lists may still take.
    room: usize,
    failed: bool,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8], room: usize) -> Self {
        Self { decoder: Decoder::new(bytes), left: 1, room, failed: false }
    }

    /// How many bytes were read, if none of it failed.
    pub(super) fn finish(self) -> Result<usize, Malformed> {
        if self.failed { Err(Malformed) } else { Ok(self.decoder.position()) }
    }

    /// One more item of a list.
    const fn take_room(&mut self, bytes: usize) {
        match self.room.checked_sub(bytes) {
            Some(room) => self.room = room,
            None => self.failed = true,
        }
    }

    /// What is read is not what it should be.
    pub const fn fail(&mut self) {
        self.failed = true;
    }

    /// The open array has more items.
    const fn more(&self) -> bool {
        !self.failed && self.left > 0
    }

    fn take<T>(
        &mut self,
        otherwise: T,
        take: impl FnOnce(&mut Decoder<'b>) -> Result<T, Error>,
    ) -> T {
        if self.more() {
            self.left -= 1;
            if let Ok(value) = take(&mut self.decoder) {
                return value;
            }
        }
        self.failed = true;
        otherwise
    }

    /// An unsigned integer up to `max`.
    #[inline(never)]
    pub fn uint(&mut self, max: u64) -> u64 {
        let number = match self.short(0..ONE_BYTE_END) {
            Some(byte) => u64::from(byte),
            None => self.take(0, Decoder::u64),
        };
        self.failed |= number > max;
        number
    }

    #[inline(never)]
    fn flag(&mut self) -> bool {
        self.take(false, Decoder::bool)
    }

    #[inline(never)]
    fn bytes(&mut self) -> &'b [u8] {
        self.take(&[], Decoder::bytes)
    }

    #[inline(never)]
    fn text(&mut self) -> &'b str {
        self.take("", Decoder::str)
    }

    /// Takes a null, or notices that the open array has ended.
    #[inline(never)]
    fn absent(&mut self) -> bool {
        !self.more() || self.short(NULL..NULL + 1).is_some()
    }

    /// Takes an item of one byte, if the next is one in this range.
    fn short(&mut self, range: Range<u8>) -> Option<u8> {
        let position = self.decoder.position();
        let byte = *self.decoder.input().get(position)?;
        if !self.more() || !range.contains(&byte) {
            return None;
        }
        self.left -= 1;
        self.decoder.set_position(position + 1);
        Some(byte)
    }

    /// Enters an array of definite length. What it returns is for `close`.
    #[inline(never)]
    pub fn open(&mut self) -> u64 {
        let length = match self.short(ARRAY..ARRAY + ONE_BYTE_END) {
            Some(byte) => Some(u64::from(byte - ARRAY)),
            None => self.take(None, Decoder::array),
        };
        self.failed |= length.is_none();
        core::mem::replace(&mut self.left, length.unwrap_or(0))
    }

    /// Leaves an array, past what is left of it.
    #[inline(never)]
    pub fn close(&mut self, outer: u64) {
        while self.more() {
            self.take((), skip);
        }
        self.left = outer;
    }
}

macro_rules! uints {
    ($($uint:ident)+) => {$(
        impl Read<'_> for $uint {
            fn read(reader: &mut Reader<'_>) -> Self {
                // The reader has checked the bound.
                reader.uint(u64::from(Self::MAX)) as Self
            }
        }
    )+};
}

uints! { u16 u32 u64 }

impl Read<'_> for bool {
    fn read(reader: &mut Reader<'_>) -> Self {
        reader.flag()
    }
}

impl<'a, 'b: 'a> Read<'b> for &'a [u8] {
    fn read(reader: &mut Reader<'b>) -> Self {
        reader.bytes()
    }
}

impl Read<'_> for [u8; 16] {
    fn read(reader: &mut Reader<'_>) -> Self {
        let bytes = reader.bytes().try_into();
        reader.failed |= bytes.is_err();
        bytes.unwrap_or_default()
    }
}

impl<'a, 'b: 'a> Read<'b> for &'a str {
    fn read(reader: &mut Reader<'b>) -> Self {
        reader.text()
    }
}

impl Read<'_> for String {
    fn read(reader: &mut Reader<'_>) -> Self {
        reader.text().into()
    }
}

impl<'b, T: Read<'b>> Read<'b> for Option<T> {
    fn read(reader: &mut Reader<'b>) -> Self {
        if reader.absent() { None } else { Some(T::read(reader)) }
    }
}

impl<'b, T: Read<'b>> Read<'b> for Vec<T> {
    fn read(reader: &mut Reader<'b>) -> Self {
        let outer = reader.open();
        let mut items = Self::new();
        // Each item takes at least one byte, or the reader fails: a long length is not believed.
        while reader.more() {
            items.push(T::read(reader));
            reader.take_room(size_of::<T>());
        }
        reader.close(outer);
        items
    }
}
