//! Sharing of answers: noise that hides the scheme's error, and a count of the answers that have been shared.
//!
//! A decrypted value is the answer plus an error that depends on the secret key and on the ciphertext. Whoever made the ciphertext, or
//! knows what it should decrypt to, learns of the key from the error (Li and Micciancio, *On the
//! security of homomorphic encryption on approximate numbers*, 2021): enough decryptions give it away. Fresh noise that is so much larger
//! than the error that no number of shared answers shows it is what helps (Li, Micciancio, Schultz and Sorrell, *Securing
//! approximate homomorphic encryption using differential privacy*, 2022, for which a normal
//! distribution of standard deviation √(12·q)·2^(s/2)·t suffices, where q decryptions have errors of norm up to t and s bits of
//! statistical security are left). For the norm stands here the predicted one, √n times the predicted standard deviation of the n outputs:
//! a prediction, not a bound, as in other libraries.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// Bits of statistical security that flooding leaves after all answers have been shared.
pub const STATISTICAL_SECURITY: f64 = 30.0;

/// Smallest precision of a shared answer, −log2 of the noise's standard deviation in units of the half width.
/// Answers with less no longer tell classes apart.
pub const LEAST_SHARED_PRECISION: f64 = 6.0;

/// Bits by which the noise of shared answers exceeds the scheme's error, if `queries` answers of `outputs` elements
/// are shared.
pub fn flooding_bits(queries: u64, outputs: usize) -> f64 {
    let elements = queries.max(1) as f64 * outputs.max(1) as f64;
    0.5 * (12.0 * elements).log2() + 0.5 * STATISTICAL_SECURITY
}

/// The precision that a program must be compiled for, in bits, so that `queries` answers of `outputs` elements can be shared.
///
/// ```
/// use pic_runtime::sharing::precision_needed;
///
/// // Ten outputs: 6 bits are left of 27.
/// assert!((26.0..28.0).contains(&precision_needed(100, 10)));
/// ```
pub fn precision_needed(queries: u64, outputs: usize) -> f64 {
    LEAST_SHARED_PRECISION + flooding_bits(queries, outputs)
}

/// Counter of the answers that have been shared under one secret key. It is a file beside the key's, of a line that
/// states how many may be shared, and one byte for each answer.
///
/// The noise of each answer is for the number that may be shared, so that is the same for all. A count that is lost
/// starts from 0, so the file is to be kept as long as the key.
#[derive(Clone, Debug)]
pub struct SharedAnswers {
    path: PathBuf,
}

impl SharedAnswers {
    /// The count in a file, which need not exist.
    pub fn at(path: &Path) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of answers that have been shared.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn count(&self) -> Result<u64, Error> {
        let counted = File::open(&self.path).and_then(|mut file| read(&mut file));
        match counted {
            Ok((_, count)) => Ok(count),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(Error::read(&self.path)(error.into())),
        }
    }

    /// Counts `answers` more before they are shown, if all together are at most `limit`, which is what it was for the first;
    /// returns how many there are then. The count is on the disk when this returns, and processes that share at once
    /// are counted one after the other.
    ///
    /// # Errors
    /// [`Error::SharingLimit`], [`Error::SharingQueries`], [`Error::Write`].
    pub fn add(&self, answers: u64, limit: u64) -> Result<u64, Error> {
        let fail = || Error::write(&self.path);
        let mut file = open(&self.path).map_err(fail())?;
        file.lock().map_err(fail())?;
        let (first, shared) = read(&mut file).map_err(fail())?;
        if let Some(first) = first
            && first != limit
        {
            return Err(Error::SharingQueries { first, asked: limit });
        }
        match shared.checked_add(answers) {
            Some(total) if total <= limit => {
                let append = |file: &mut File| {
                    file.seek(SeekFrom::End(0))?;
                    if first.is_none() {
                        writeln!(file, "{limit}")?;
                    }
                    file.write_all(&vec![b'.'; usize::try_from(answers).unwrap_or(usize::MAX)])?;
                    file.sync_all()
                };
                append(&mut file).map_err(fail())?;
                Ok(total)
            }
            _ => Err(Error::SharingLimit { shared, asked: answers, limit }),
        }
    }
}

/// Limit of a counter, if it has one yet, and its number of answers.
fn read(file: &mut File) -> std::io::Result<(Option<u64>, u64)> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok((None, 0));
    }
    let mut start = Vec::new();
    file.take(LONGEST_LIMIT).read_to_end(&mut start)?;
    let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let limit = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
    let limit = limit.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
    Ok((Some(limit), length - (line.len() as u64 + 1).min(length)))
}

/// Largest length of the line that states the limit, in bytes.
const LONGEST_LIMIT: u64 = 24;

/// Opens or creates a file that the owner alone can read.
fn open(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_grows_with_the_square_root_of_what_is_shared() {
        // √12 is 1.79 bits.
        assert!((flooding_bits(1, 1) - (15.0 + 1.7925)).abs() < 1e-4);
        assert!((flooding_bits(64, 4) - flooding_bits(1, 1) - 4.0).abs() < 1e-12);
    }

    #[test]
    fn answers_are_counted_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let counter = SharedAnswers::at(&folder.path().join("secret.shared"));
        assert_eq!(counter.count().unwrap(), 0);
        assert_eq!(counter.add(3, 10).unwrap(), 3);
        assert_eq!(counter.count().unwrap(), 3);
        assert_eq!(SharedAnswers::at(counter.path()).add(7, 10).unwrap(), 10);
        for answers in [1, u64::MAX] {
            let refused = counter.add(answers, 10).unwrap_err();
            assert!(
                matches!(refused, Error::SharingLimit { shared: 10, limit: 10, asked } if asked == answers),
                "{refused}"
            );
        }
        assert_eq!(std::fs::read_to_string(counter.path()).unwrap(), "10\n..........");
        // Those before have the noise of ten.
        let refused = counter.add(1, 11).unwrap_err();
        assert!(matches!(refused, Error::SharingQueries { first: 10, asked: 11 }), "{refused}");
        for broken in ["", "many\n.", "12345678901234567890123456789"] {
            std::fs::write(counter.path(), broken).unwrap();
            assert_eq!(counter.add(1, 10).is_ok(), broken.is_empty(), "{broken}");
        }
        let nowhere = SharedAnswers::at(&folder.path().join("missing/secret.shared"));
        assert!(matches!(nowhere.add(1, 10), Err(Error::Write { .. })));
    }

    #[test]
    fn processes_at_once_are_all_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.shared");
        let counted: Vec<u64> = std::thread::scope(|scope| {
            let add =
                || (0..20).filter(|_| SharedAnswers::at(&path).add(1, 50).is_ok()).count() as u64;
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(add)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(counted.iter().sum::<u64>(), 50);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 3 + 50);
    }
}
