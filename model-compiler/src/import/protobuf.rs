//! Protocol buffers as far as ONNX needs them: the fields of a message, one after another, without a schema.
//!
//! (The encoding: <https://protobuf.dev/programming-guides/encoding/>.)

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field<'a> {
    /// Its number in the schema.
    pub number: u64,
    /// What it holds.
    pub value: Value<'a>,
}

/// What a field holds, by its type on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// An integer.
    Varint(u64),
    /// Eight bytes: a double.
    Fixed64([u8; 8]),
    /// Text, a message, or a packed list.
    Bytes(&'a [u8]),
    /// Four bytes: a float.
    Fixed32([u8; 4]),
}

/// The bytes end where more were announced, or are of no type that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The fields of a message; nothing follows what is malformed.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of the message that these bytes are.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let tag = varint(&mut self.0)?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut self.0)?),
            1 => Value::Fixed64(array(&mut self.0)?),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(array(&mut self.0)?),
            _ => return None,
        };
        Some(Field { number: tag >> 3, value })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

/// Takes an integer of seven bits per byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn array<const LENGTH: usize>(bytes: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

impl<'a> Value<'a> {
    /// The bytes, if it holds any.
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The text, if it holds any.
    pub(super) fn text(self) -> Option<&'a str> {
        self.bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// Adds its integers to the list: one, or all that are packed into it.
    pub(super) fn integers(self, list: &mut Vec<i64>) -> Option<()> {
        match self {
            Self::Varint(number) => list.push(number.cast_signed()),
            Self::Bytes(mut packed) => {
                while !packed.is_empty() {
                    list.push(varint(&mut packed)?.cast_signed());
                }
            }
            Self::Fixed32(_) | Self::Fixed64(_) => return None,
        }
        Some(())
    }

    /// Adds its numbers of four bytes to the list: one, or all that are packed into it.
    pub(super) fn floats(self, list: &mut Vec<f64>) -> Option<()> {
        let bytes = match &self {
            Self::Fixed32(bytes) => bytes.as_slice(),
            Self::Bytes(packed) => packed,
            Self::Varint(_) | Self::Fixed64(_) => return None,
        };
        let (numbers, rest) = bytes.as_chunks::<4>();
        list.extend(numbers.iter().map(|number| f64::from(f32::from_le_bytes(*number))));
        rest.is_empty().then_some(())
    }

    /// Adds its numbers of eight bytes to the list: one, or all that are packed into it.
    pub(super) fn doubles(self, list: &mut Vec<f64>) -> Option<()> {
        let bytes = match &self {
            Self::Fixed64(bytes) => bytes.as_slice(),
            Self::Bytes(packed) => packed,
            Self::Varint(_) | Self::Fixed32(_) => return None,
        };
        let (numbers, rest) = bytes.as_chunks::<8>();
        list.extend(numbers.iter().map(|number| f64::from_le_bytes(*number)));
        rest.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_type_are_read() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'a', b'b', 0x1d, 0, 0, 0x80, 0x3f, 0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        let fields: Result<Vec<Field<'_>>, Malformed> = Fields::of(&bytes).collect();
        let expected = [
            (1, Value::Varint(150)),
            (2, Value::Bytes(b"ab")),
            (3, Value::Fixed32(1.0_f32.to_le_bytes())),
            (4, Value::Fixed64(1.0_f64.to_le_bytes())),
        ];
        assert_eq!(fields, Ok(expected.map(|(number, value)| Field { number, value }).to_vec()));
    }

    #[test]
    fn what_is_cut_off_is_malformed_and_the_end() {
        for bytes in [&[0x08][..], &[0x08, 0x80], &[0x12, 3, b'a'], &[0x0b], &[0xff; 11]] {
            let fields: Vec<_> = Fields::of(bytes).collect();
            assert_eq!(fields, [Err(Malformed)], "{bytes:?}");
        }
    }

    #[test]
    fn lists_are_read_packed_or_not() {
        let (mut integers, mut floats) = (Vec::new(), Vec::new());
        assert_eq!(Value::Varint(u64::MAX).integers(&mut integers), Some(()));
        assert_eq!(Value::Bytes(&[3, 0x96, 1]).integers(&mut integers), Some(()));
        assert_eq!(Value::Bytes(&[0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]).floats(&mut floats), Some(()));
        assert_eq!(Value::Bytes(&[0, 0, 0x80]).floats(&mut floats), None);
        assert_eq!((integers, floats), (vec![-1, 3, 150], vec![1.0, 2.0]));
    }
}
