//! The macros that define structures and variants together with their encoding.

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
