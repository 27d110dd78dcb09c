//! Structures and variants as CBOR (RFC 8949), over the primitives of `minicbor`. What it derives
//! checks a result after every field and names each field for its errors, which was a fifth of the
//! module that every visitor loads; here a reader remembers that it failed, and is asked once.
//!
//! A structure is an array of its fields; a variant is an array of its tag and its fields. Absent
//! fields at the end are left out. Fields that a newer version added are skipped, a variant it
//! added is malformed: reading it as absent would change what was said.

use alloc::vec::Vec;

mod define;
mod parts;
mod reader;
mod writer;

pub(crate) use define::{binding, structure, variants};
pub use parts::{EMPTY_LIST, EMPTY_MAP, Entry, entries};
pub use reader::Reader;
pub use writer::{write_fields, write_map, write_uint};

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
    Ok((value, reader.finish()?))
}

/// The integer that the array at the start of `bytes` begins with: the tag of a variant.
///
/// # Errors
/// `Malformed`.
pub fn first_uint(bytes: &[u8]) -> Result<u64, Malformed> {
    let mut reader = Reader::new(bytes, usize::MAX);
    reader.open();
    let number = reader.uint(u64::MAX);
    reader.finish()?;
    Ok(number)
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
