//! What our CBOR asks for beyond the codec.

/// Codec of a field that holds an enum with fields, optional or not.
///
/// Fields that a newer version added to a variant are skipped, also where this version knows none.
/// A variant that this version does not know is an error, also where the field is optional:
/// reading it as absent would change what was said.
pub mod variant {
    use minicbor::decode::{Decode, Decoder, Error};
    use minicbor::encode::{Encode, Encoder, Write};

    /// # Errors
    /// Those of the value, and an unknown variant.
    pub fn decode<'b, C, T>(decoder: &mut Decoder<'b>, context: &mut C) -> Result<T, Error>
    where
        T: Decode<'b, C>,
    {
        let start = decoder.position();
        let value = T::decode(decoder, context).map_err(|error| {
            let unknown = error.is_unknown_variant();
            if unknown { Error::message("an unknown variant") } else { error }
        })?;
        decoder.set_position(start);
        decoder.skip()?;
        Ok(value)
    }

    /// # Errors
    /// Those of the writer.
    pub fn encode<C, T, W>(
        value: &T,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>>
    where
        T: Encode<C>,
        W: Write,
    {
        value.encode(encoder, context)
    }

    #[must_use]
    pub fn nil<'b, T: Decode<'b, ()>>() -> Option<T> {
        T::nil()
    }

    pub fn is_nil<T: Encode<()>>(value: &T) -> bool {
        value.is_nil()
    }
}
