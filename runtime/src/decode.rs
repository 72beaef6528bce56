//! Decoding of sections with a budget of memory.
//!
//! An element can take far more memory than bytes in a file: an empty string is one byte there and 24 here. So a
//! decoder that only trusts lengths that the bytes bear out can still be made to take many times what it reads. Here
//! every element of a list or map, and every string, is paid for before it is decoded.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// Budget for decoded data, in bytes: eight for each byte read, as small numbers take, plus some for structures
/// that are rare.
fn budget(bytes: usize) -> usize {
    const EACH: usize = 8;
    const BASE: usize = 4 << 20;
    const MOST: usize = 2 << 30;
    bytes.saturating_mul(EACH).saturating_add(BASE).min(MOST)
}

/// Decodes a value from all of `bytes`. While lists grow, memory can reach three times the budget for a moment.
///
/// # Errors
/// The errors of postcard; [`postcard::Error::SerdeDeCustom`] for bytes behind the end, for a spent budget, and where
/// memory runs out.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> postcard::Result<T> {
    let account = Account { paid: Cell::new(0), budget: budget(bytes.len()) };
    let mut decoder = postcard::Deserializer::from_bytes(bytes);
    let budgeted = Budgeted { inner: &mut decoder, account: &account, is_list: false };
    let value = T::deserialize(budgeted)?;
    match decoder.finalize()? {
        [] => Ok(value),
        _ => Err(postcard::Error::SerdeDeCustom),
    }
}

/// Bytes of the budget that are spent.
struct Account {
    paid: Cell<usize>,
    budget: usize,
}

impl Account {
    /// Growth of the memory spent, in bytes, after which the available memory is looked up again.
    const STEP: usize = 16 << 20;

    fn pay(&self, bytes: usize) -> bool {
        let before = self.paid.get();
        let paid = before.saturating_add(bytes);
        self.paid.set(paid);
        if paid / Self::STEP == before / Self::STEP {
            return paid <= self.budget;
        }
        // A list that grows asks for twice what it has, and does not survive that there is none.
        let growth = paid.saturating_add(Self::STEP).saturating_mul(2);
        paid <= self.budget && Vec::<u8>::new().try_reserve_exact(growth).is_ok()
    }
}

/// Adapter for any part of serde that charges elements to the account.
struct Budgeted<'b, T> {
    inner: T,
    account: &'b Account,
    /// True if the parts visited next are elements of a list or map. Fields of a structure are part of an element
    /// that is already charged.
    is_list: bool,
}

impl<'b, T> Budgeted<'b, T> {
    fn with<U>(&self, inner: U) -> Budgeted<'b, U> {
        Budgeted { inner, account: self.account, is_list: false }
    }

    fn pay<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        if self.account.pay(bytes) {
            Ok(())
        } else {
            Err(E::custom("more memory than such a section may take"))
        }
    }
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*) $is_list:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = Budgeted { is_list: $is_list, ..self.with(visitor) };
            self.inner.$method($($argument,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Budgeted<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any() true;
        deserialize_bool() false;
        deserialize_i8() false;
        deserialize_i16() false;
        deserialize_i32() false;
        deserialize_i64() false;
        deserialize_i128() false;
        deserialize_u8() false;
        deserialize_u16() false;
        deserialize_u32() false;
        deserialize_u64() false;
        deserialize_u128() false;
        deserialize_f32() false;
        deserialize_f64() false;
        deserialize_char() false;
        deserialize_str() false;
        deserialize_string() false;
        deserialize_bytes() false;
        deserialize_byte_buf() false;
        deserialize_option() false;
        deserialize_unit() false;
        deserialize_unit_struct(name: &'static str) false;
        deserialize_newtype_struct(name: &'static str) false;
        deserialize_seq() true;
        deserialize_tuple(len: usize) false;
        deserialize_tuple_struct(name: &'static str, len: usize) false;
        deserialize_map() true;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) false;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) false;
        deserialize_identifier() false;
        deserialize_ignored_any() true;
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! forward_values {
    ($($method:ident($type:ty);)*) => {$(
        fn $method<E: serde::de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Budgeted<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.inner.expecting(f)
    }

    forward_values! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u32(u32);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_f64(f64);
        visit_char(char);
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<V::Value, E> {
        self.pay(value.len())?;
        self.inner.visit_str(value)
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.pay(value.len())?;
        self.inner.visit_borrowed_str(value)
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<V::Value, E> {
        self.pay(value.len())?;
        self.inner.visit_string(value)
    }

    fn visit_bytes<E: serde::de::Error>(self, value: &[u8]) -> Result<V::Value, E> {
        self.pay(value.len())?;
        self.inner.visit_bytes(value)
    }

    fn visit_borrowed_bytes<E: serde::de::Error>(self, value: &'de [u8]) -> Result<V::Value, E> {
        self.pay(value.len())?;
        self.inner.visit_borrowed_bytes(value)
    }

    fn visit_byte_buf<E: serde::de::Error>(self, value: Vec<u8>) -> Result<V::Value, E> {
        self.pay(value.len())?;
        self.inner.visit_byte_buf(value)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let inner = self.with(inner);
        self.inner.visit_some(inner)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let inner = self.with(inner);
        self.inner.visit_newtype_struct(inner)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = Budgeted { inner: access, account: self.account, is_list: self.is_list };
        self.inner.visit_seq(access)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = Budgeted { inner: access, account: self.account, is_list: self.is_list };
        self.inner.visit_map(access)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.with(access);
        self.inner.visit_enum(access)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Budgeted<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let inner = self.with(inner);
        self.inner.deserialize(inner)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Budgeted<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if self.is_list {
            self.pay(size_of::<S::Value>())?;
        }
        let seed = self.with(seed);
        self.inner.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Budgeted<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if self.is_list {
            self.pay(size_of::<S::Value>())?;
        }
        let seed = self.with(seed);
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        if self.is_list {
            self.pay(size_of::<S::Value>())?;
        }
        let seed = self.with(seed);
        self.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 'b, A: EnumAccess<'de>> EnumAccess<'de> for Budgeted<'b, A> {
    type Error = A::Error;
    type Variant = Budgeted<'b, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let account = self.account;
        let seed = self.with(seed);
        let (value, variant) = self.inner.variant_seed(seed)?;
        Ok((value, Budgeted { inner: variant, account, is_list: false }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Budgeted<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.with(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.with(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        Newtype(Option<u32>),
        Tuple(i64, f32),
        Struct { names: Vec<String>, levels: BTreeMap<i64, usize> },
    }

    fn sample() -> Vec<Shape> {
        let names = vec!["a".into(), String::new(), "three".into()];
        let levels = BTreeMap::from([(-3, 4), (5, 6)]);
        vec![
            Shape::Unit,
            Shape::Newtype(None),
            Shape::Newtype(Some(7)),
            Shape::Tuple(-1, 2.5),
            Shape::Struct { names, levels },
        ]
    }

    #[test]
    fn everything_of_serde_comes_back() {
        let bytes = postcard::to_stdvec(&sample()).unwrap();
        assert_eq!(from_bytes::<Vec<Shape>>(&bytes).unwrap(), sample());
        for length in 0..bytes.len() {
            from_bytes::<Vec<Shape>>(&bytes[..length]).unwrap_err();
        }
        from_bytes::<Vec<Shape>>(&[&bytes[..], &[0]].concat()).unwrap_err();
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes megabytes")]
    fn what_takes_far_more_memory_than_bytes_is_refused() {
        let count = 1 << 20;
        let empty = postcard::to_stdvec(&vec![String::new(); count]).unwrap();
        assert!(empty.len() < count + 8);
        from_bytes::<Vec<String>>(&empty).unwrap_err();
        from_bytes::<Vec<Vec<u8>>>(&empty).unwrap_err();
        let pairs: BTreeMap<u32, u128> = (0..count as u32).map(|k| (k, 0)).collect();
        let bytes = postcard::to_stdvec(&pairs).unwrap();
        // 3 + 1 bytes there, 4 + 16 here.
        assert_eq!(from_bytes::<BTreeMap<u32, u128>>(&bytes).unwrap(), pairs);
        // Numbers take eight times as much at most.
        let zeros = postcard::to_stdvec(&vec![0usize; count]).unwrap();
        assert_eq!(from_bytes::<Vec<usize>>(&zeros).unwrap().len(), count);
        let few = postcard::to_stdvec(&vec![String::new(); 1000]).unwrap();
        assert_eq!(from_bytes::<Vec<String>>(&few).unwrap().len(), 1000);
    }
}
