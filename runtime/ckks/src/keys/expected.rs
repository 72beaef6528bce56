//! Comparison of the keys of a file with the keys requested.

use std::collections::BTreeMap;

use super::evaluation::{conjugation_element, galois_keys, rotation_element};
use super::names::{KeyName, KeySetFault, RELINEARIZATION};
use crate::model::KeyRequest;
use crate::{Context, Error};

/// An item of a stream of keys.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    /// A key, by its Galois element or [`RELINEARIZATION`]; elements ascend.
    Key { element: u64, level: usize },
    /// The end of the switching keys; true if encapsulation keys follow.
    End { has_encapsulation: bool },
}

/// The requested keys that have not been read yet.
pub(crate) struct Expected {
    /// Levels of the keys by Galois element.
    levels: BTreeMap<u64, usize>,
    names: BTreeMap<u64, KeyName>,
    encapsulation: bool,
}

impl Expected {
    pub(crate) fn new(context: &Context, request: &KeyRequest) -> Self {
        let mut levels = galois_keys(context, request);
        levels.extend(request.relinearization.map(|level| (RELINEARIZATION, level)));
        let rotations = request.rotations.keys().rev();
        let names = rotations.map(|&r| (rotation_element(context, r), KeyName::Rotation(r)));
        let others = [
            (conjugation_element(context), KeyName::Conjugation),
            (RELINEARIZATION, KeyName::Relinearization),
        ];
        let names = names.chain(others).collect();
        Self { levels, names, encapsulation: request.encapsulation.is_some() }
    }

    /// Compares the next item with the request.
    pub(crate) fn check(&mut self, found: Found) -> Result<(), Error> {
        let next = self.levels.pop_first();
        match (found, next) {
            (Found::Key { element, level }, Some((next, expected))) if element == next => {
                if level == expected {
                    return Ok(());
                }
                Err(Error::KeySet(KeySetFault::Level {
                    key: self.name(next),
                    expected,
                    found: level,
                }))
            }
            (Found::Key { element, .. }, Some((next, _))) if next < element => {
                Err(Error::KeySet(KeySetFault::Missing(self.name(next))))
            }
            (Found::Key { element, .. }, _) => {
                Err(Error::KeySet(KeySetFault::NotAskedFor(self.name(element))))
            }
            (Found::End { .. }, Some((next, _))) => {
                Err(Error::KeySet(KeySetFault::Missing(self.name(next))))
            }
            (Found::End { has_encapsulation }, None) => {
                match (has_encapsulation, self.encapsulation) {
                    (false, true) => {
                        Err(Error::KeySet(KeySetFault::Missing(KeyName::Encapsulation)))
                    }
                    (true, false) => {
                        Err(Error::KeySet(KeySetFault::NotAskedFor(KeyName::Encapsulation)))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    fn name(&self, element: u64) -> KeyName {
        self.names.get(&element).copied().unwrap_or(KeyName::Galois(element))
    }
}
