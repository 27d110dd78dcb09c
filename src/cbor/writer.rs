//! What is written: structures, variants and maps from their fields, and basic values.

use alloc::string::String;
use alloc::vec::Vec;

use minicbor::encode::Encoder;

use crate::cbor::{ARRAY, FALSE, NULL, ONE_BYTE_END, Write};

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
