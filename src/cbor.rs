//! Structures and variants as CBOR (RFC 8949), over the primitives of `minicbor`. What it derives
//! checks a result after every field and names each field for its errors, which was a fifth of the
//! module that every visitor loads; here a reader remembers that it failed, and is asked once.
//!
//! A structure is an array of its fields; a variant is an array of its tag and its fields. Absent
//! fields at the end are left out. Fields that a newer version added are skipped, a variant it
//! added is malformed: reading it as absent would change what was said.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use minicbor::decode::{Decoder, Error};
use minicbor::encode::Encoder;

mod parts;

use parts::skip;
pub use parts::{EMPTY_LIST, EMPTY_MAP, Entry, entries};

/// The first number that does not fit into the head of its item.
const ONE_BYTE_END: u8 = 24;
/// The head of an array, without its length.
const ARRAY: u8 = 0x80;
const FALSE: u8 = 0xf4;
const NULL: u8 = 0xf6;

/// The bytes are not what they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Reads one value that fills `bytes`.
///
/// # Errors
/// `Malformed`.
pub fn decode<'b, T: Read<'b>>(bytes: &'b [u8]) -> Result<T, Malformed> {
    let (value, length) = decode_first(bytes)?;
    if length == bytes.len() { Ok(value) } else { Err(Malformed) }
}

/// Reads the value at the start of `bytes` and gives its length.
///
/// # Errors
/// `Malformed`.
pub fn decode_first<'b, T: Read<'b>>(bytes: &'b [u8]) -> Result<(T, usize), Malformed> {
    decode_first_within(bytes, usize::MAX)
}

/// `decode_first` of bytes that anyone may have made: an item of two bytes may take a hundred in
/// memory, so all lists of the value together take at most `lists_bytes_max` there.
///
/// # Errors
/// `Malformed`.
pub fn decode_first_within<'b, T: Read<'b>>(
    bytes: &'b [u8],
    lists_bytes_max: usize,
) -> Result<(T, usize), Malformed> {
    let mut reader = Reader::new(bytes, lists_bytes_max);
    let value = T::read(&mut reader);
    if reader.failed { Err(Malformed) } else { Ok((value, reader.decoder.position())) }
}

/// The integer that the array at the start of `bytes` begins with: the tag of a variant.
///
/// # Errors
/// `Malformed`.
pub fn first_uint(bytes: &[u8]) -> Result<u64, Malformed> {
    let mut reader = Reader::new(bytes, usize::MAX);
    reader.open();
    let number = reader.uint(u64::MAX);
    if reader.failed { Err(Malformed) } else { Ok(number) }
}

/// Appends one value to `out`.
pub fn encode<T: Write + ?Sized>(value: &T, out: &mut Vec<u8>) {
    value.write(out);
}

/// A value that is read from one CBOR item.
pub trait Read<'b>: Sized {
    /// Takes the next item. If the reader has failed, or fails here, the value means nothing.
    fn read(reader: &mut Reader<'b>) -> Self;
}

/// A value that is written as one CBOR item.
pub trait Write {
    fn write(&self, out: &mut Vec<u8>);

    /// May be left out at the end of a structure.
    fn is_absent(&self) -> bool {
        false
    }
}

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
    fn new(bytes: &'b [u8], room: usize) -> Self {
        Self { decoder: Decoder::new(bytes), left: 1, room, failed: false }
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

/// Writes a structure, or a variant if it has a tag.
#[inline(never)]
pub fn write_fields(out: &mut Vec<u8>, tag: Option<u32>, fields: &[&dyn Write]) {
    let present = fields.iter().rposition(|field| !field.is_absent()).map_or(0, |last| last + 1);
    write_array(out, present + usize::from(tag.is_some()));
    if let Some(tag) = tag {
        write_uint(out, u64::from(tag));
    }
    for field in fields.iter().take(present) {
        field.write(out);
    }
}

/// Writes a map from texts, in two parts. Absent values are left out.
pub fn write_map(out: &mut Vec<u8>, head: &[(&str, &dyn Write)], rest: &[(&str, &dyn Write)]) {
    let entries = head.iter().chain(rest);
    let present = entries.filter(|(_, value)| !value.is_absent());
    let _ = Encoder::new(&mut *out).map(present.clone().count() as u64);
    for (key, value) in present {
        write_text(out, key);
        value.write(out);
    }
}

// Writing to a Vec can't fail, so the results below say nothing.

// Most heads are of one byte, which is quicker to append than to have written.

#[inline(never)]
fn write_array(out: &mut Vec<u8>, length: usize) {
    if length < usize::from(ONE_BYTE_END) {
        out.push(ARRAY | length as u8);
    } else {
        let _ = Encoder::new(out).array(length as u64);
    }
}

#[inline(never)]
pub fn write_uint(out: &mut Vec<u8>, number: u64) {
    if number < u64::from(ONE_BYTE_END) {
        out.push(number as u8);
    } else {
        let _ = Encoder::new(out).u64(number);
    }
}

#[inline(never)]
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let _ = Encoder::new(out).bytes(bytes);
}

#[inline(never)]
fn write_text(out: &mut Vec<u8>, text: &str) {
    let _ = Encoder::new(out).str(text);
}

macro_rules! uints {
    ($($uint:ident)+) => {$(
        impl Read<'_> for $uint {
            fn read(reader: &mut Reader<'_>) -> Self {
                // The reader has checked the bound.
                reader.uint(u64::from(Self::MAX)) as Self
            }
        }

        impl Write for $uint {
            fn write(&self, out: &mut Vec<u8>) {
                write_uint(out, u64::from(*self));
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

impl Write for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(FALSE | u8::from(*self));
    }
}

impl<'a, 'b: 'a> Read<'b> for &'a [u8] {
    fn read(reader: &mut Reader<'b>) -> Self {
        reader.bytes()
    }
}

impl Write for &[u8] {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(out, self);
    }
}

impl Read<'_> for [u8; 16] {
    fn read(reader: &mut Reader<'_>) -> Self {
        let bytes = reader.bytes().try_into();
        reader.failed |= bytes.is_err();
        bytes.unwrap_or_default()
    }
}

impl Write for [u8; 16] {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(out, self);
    }
}

impl<'a, 'b: 'a> Read<'b> for &'a str {
    fn read(reader: &mut Reader<'b>) -> Self {
        reader.text()
    }
}

impl Write for &str {
    fn write(&self, out: &mut Vec<u8>) {
        write_text(out, self);
    }
}

impl Read<'_> for String {
    fn read(reader: &mut Reader<'_>) -> Self {
        reader.text().into()
    }
}

impl Write for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_text(out, self);
    }
}

impl<'b, T: Read<'b>> Read<'b> for Option<T> {
    fn read(reader: &mut Reader<'b>) -> Self {
        if reader.absent() { None } else { Some(T::read(reader)) }
    }
}

impl<T: Write> Write for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.push(NULL),
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
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

impl<T: Write> Write for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_slice().write(out);
    }
}

impl<T: Write> Write for [T] {
    fn write(&self, out: &mut Vec<u8>) {
        write_array(out, self.len());
        for item in self {
            item.write(out);
        }
    }
}

/// Defines a structure with its encoding: its fields in order.
macro_rules! structure {
    ($(#[$meta:meta])* pub struct $name:ident $(<$life:lifetime>)? {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)+
    }) => {
        $(#[$meta])*
        pub struct $name $(<$life>)? {
            $($(#[$field_meta])* pub $field: $type,)+
        }

        impl<'read $(, $life)?> $crate::cbor::Read<'read> for $name $(<$life>)?
        where
            $('read: $life,)?
        {
            fn read(reader: &mut $crate::cbor::Reader<'read>) -> Self {
                let outer = reader.open();
                let value = Self { $($field: $crate::cbor::Read::read(reader),)+ };
                reader.close(outer);
                value
            }
        }

        impl $(<$life>)? $crate::cbor::Write for $name $(<$life>)? {
            fn write(&self, out: &mut alloc::vec::Vec<u8>) {
                $crate::cbor::write_fields(out, None, &[$(&self.$field,)+]);
            }
        }
    };
}

/// Defines an enum with its encoding: the tag that stands before each variant, then its fields.
macro_rules! variants {
    ($(#[$meta:meta])* pub enum $name:ident $(<$life:lifetime>)? {
        $(
            $(#[$variant_meta:meta])*
            $tag:literal => $variant:ident
            $(($type:ty))?
            $({ $($(#[$field_meta:meta])* $field:ident: $field_type:ty),+ $(,)? })?,
        )+
    }) => {
        $(#[$meta])*
        pub enum $name $(<$life>)? {
            $(
                $(#[$variant_meta])*
                $variant $(($type))? $({ $($(#[$field_meta])* $field: $field_type,)+ })?,
            )+
        }

        impl $(<$life>)? $name $(<$life>)? {
            /// The tag of each variant.
            pub const TAGS: &'static [u64] = &[$($tag),+];
        }

        impl<'read $(, $life)?> $crate::cbor::Read<'read> for $name $(<$life>)?
        where
            $('read: $life,)?
        {
            fn read(reader: &mut $crate::cbor::Reader<'read>) -> Self {
                let outer = reader.open();
                let mut tag = reader.uint(u64::MAX);
                let value = loop {
                    break match tag {
                        $($tag => Self::$variant
                            $((<$type as $crate::cbor::Read<'read>>::read(reader)))?
                            $({ $($field: $crate::cbor::Read::read(reader),)+ })?,)+
                        _ => {
                            // A failed reader gives any variant, here the first.
                            reader.fail();
                            tag = Self::TAGS[0];
                            continue;
                        }
                    };
                };
                reader.close(outer);
                value
            }
        }

        impl $(<$life>)? $crate::cbor::Write for $name $(<$life>)? {
            fn write(&self, out: &mut alloc::vec::Vec<u8>) {
                match self {
                    $(Self::$variant
                        $(($crate::cbor::binding!(value, $type)))?
                        $({ $($field,)+ })? =>
                    {
                        let fields: &[&dyn $crate::cbor::Write] = &[
                            $($crate::cbor::binding!(value, $type),)?
                            $($($field,)+)?
                        ];
                        $crate::cbor::write_fields(out, Some($tag), fields);
                    })+
                }
            }
        }
    };
}

/// A name that is repeated as often as a type is.
macro_rules! binding {
    ($name:ident, $type:ty) => {
        $name
    };
}

pub(crate) use {binding, structure, variants};

#[cfg(test)]
mod tests {
    use super::*;

    structure! {
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct Pair<'a> {
            pub name: &'a str,
            pub number: Option<u16>,
            pub rest: Option<Vec<u32>>,
        }
    }

    variants! {
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Shape<'a> {
            3 => Empty,
            1 => Whole(Pair<'a>),
            2 => Parts { flag: bool, bytes: Option<&'a [u8]> },
        }
    }

    fn encoded<T: Write>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(value, &mut bytes);
        bytes
    }

    fn pair(number: Option<u16>, rest: Option<Vec<u32>>) -> Pair<'static> {
        Pair { name: "n", number, rest }
    }

    #[test]
    fn absent_fields_are_left_out_at_the_end_and_null_before_others() {
        assert_eq!(encoded(&pair(None, None)), [0x81, 0x61, b'n']);
        assert_eq!(encoded(&pair(Some(1), None)), [0x82, 0x61, b'n', 1]);
        assert_eq!(encoded(&pair(None, Some([].into()))), [0x83, 0x61, b'n', 0xf6, 0x80]);
        for value in [pair(None, None), pair(Some(1), None), pair(None, Some([7].into()))] {
            assert_eq!(decode(&encoded(&value)), Ok(value));
        }
        assert_eq!(decode(&[0x83, 0x61, b'n', 0xf6, 0xf6]), Ok(pair(None, None)));
    }

    #[test]
    fn a_variant_starts_with_its_tag() {
        assert_eq!(encoded(&Shape::Empty), [0x81, 3]);
        let parts = Shape::Parts { flag: true, bytes: Some(&[9]) };
        assert_eq!(encoded(&parts), [0x83, 2, 0xf5, 0x41, 9]);
        let whole = Shape::Whole(pair(Some(1), None));
        for shape in [Shape::Empty, parts, whole] {
            assert_eq!(decode(&encoded(&shape)), Ok(shape.clone()));
            assert!(Shape::TAGS.contains(&first_uint(&encoded(&shape)).unwrap()));
        }
    }

    #[test]
    fn what_a_newer_version_added_is_skipped_in_place() {
        let list = [0x82, 0x82, 3, 0x81, 0x80, 0x83, 2, 0xf4, 0xf6];
        let parts = Shape::Parts { flag: false, bytes: None };
        assert_eq!(decode::<Vec<Shape<'_>>>(&list), Ok([Shape::Empty, parts].into()));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_malformed() {
        let malformed: [&[u8]; 10] = [
            &[],
            &[0x80],
            &[0x81, 4],
            &[0x81, 2],
            &[0x9f, 3, 0xff],
            &[0x83, 2, 1, 0xf6],
            &[0x82, 1, 0x82, 0x61, b'n'],
            &[0x82, 1, 0x82, 0x61, 0xff, 1],
            &[0x82, 1, 0x82, 0x61, b'n', 0x1a, 0, 1, 0, 0],
            &[0x81, 3, 0],
        ];
        for bytes in malformed {
            assert_eq!(decode::<Shape<'_>>(bytes), Err(Malformed), "{bytes:x?}");
        }
        assert_eq!(decode_first::<Shape<'_>>(&[0x81, 3, 0]), Ok((Shape::Empty, 2)));
        assert_eq!(decode::<Option<Shape<'_>>>(&[0x81, 4]), Err(Malformed));
        assert_eq!(decode::<[u8; 16]>(&[0x41, 0]), Err(Malformed));
    }

    #[test]
    fn a_length_is_believed_only_as_far_as_there_are_items() {
        let endless = [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2];
        assert_eq!(decode::<Vec<u32>>(&endless), Err(Malformed));
        assert_eq!(decode::<Pair<'_>>(&endless), Err(Malformed));
        let skipped =
            [&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x60][..], &[0xf6; 9]];
        assert_eq!(decode::<Pair<'_>>(&skipped.concat()), Err(Malformed));
    }
}
