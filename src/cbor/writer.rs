//! What is written: structures, variants and maps from their fields, and basic values.

use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor::{ARRAY, BYTES, FALSE, MAP, NULL, TEXT, Write};

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
    write_head(out, MAP, present.clone().count() as u64);
    for (key, value) in present {
        write_text(out, key);
        value.write(out);
    }
}

fn write_array(out: &mut Vec<u8>, length: usize) {
    write_head(out, ARRAY, length as u64);
}

pub fn write_uint(out: &mut Vec<u8>, number: u64) {
    write_head(out, 0, number);
}

#[inline(never)]
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_head(out, BYTES, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[inline(never)]
fn write_text(out: &mut Vec<u8>, text: &str) {
    write_head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// The shortest head of that kind.
#[inline(never)]
fn write_head(out: &mut Vec<u8>, kind: u8, number: u64) {
    let (size, bytes) = match number {
        0..24 => return out.push(kind | number as u8),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    out.push(kind | size);
    out.extend_from_slice(&number.to_be_bytes()[8 - bytes..]);
}

macro_rules! uints {
    ($($uint:ident)+) => {$(
        impl Write for $uint {
            fn write(&self, out: &mut Vec<u8>) {
                write_uint(out, u64::from(*self));
            }
        }
    )+};
}

uints! { u16 u32 u64 }

impl Write for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(FALSE | u8::from(*self));
    }
}

impl Write for &[u8] {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(out, self);
    }
}

impl Write for [u8; 16] {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(out, self);
    }
}

impl Write for &str {
    fn write(&self, out: &mut Vec<u8>) {
        write_text(out, self);
    }
}

impl Write for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_text(out, self);
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
