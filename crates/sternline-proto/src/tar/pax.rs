//! What pax says of the next member: `LENGTH KEY=VALUE\n`, the length in decimal and counting itself.

use super::error::TarError;

/// What of it changes how a member is read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Extended {
    name: Option<Vec<u8>>,
    /// Where it is sparse the name may be one that was made up.
    sparse_name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) mtime: Option<i64>,
    /// Its content is a map of holes and what is between them.
    pub(super) sparse: bool,
}

const MALFORMED: TarError = TarError::Malformed {
    what: "a record of pax that is none",
};

impl Extended {
    pub(super) fn read(&mut self, mut records: &[u8]) -> Result<(), TarError> {
        while !records.is_empty() {
            let (record, rest) = cut(records).ok_or(MALFORMED)?;
            records = rest;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(MALFORMED)?;
            let (key, value) = record.split_at_checked(equals).ok_or(MALFORMED)?;
            self.set(key, value.strip_prefix(b"=").unwrap_or_default())?;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        match key {
            // An empty one takes back what was said before.
            b"path" => self.name = (!value.is_empty()).then(|| value.to_vec()),
            b"size" if value.is_empty() => self.size = None,
            b"size" => self.size = Some(decimal(value).ok_or(MALFORMED)?),
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => self.mtime = Some(seconds(value).ok_or(MALFORMED)?),
            key if key.starts_with(b"GNU.sparse.") => {
                self.sparse = true;
                if key == b"GNU.sparse.name" {
                    self.sparse_name = Some(value.to_vec());
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn name(&self) -> Option<&Vec<u8>> {
        self.sparse_name.as_ref().or(self.name.as_ref())
    }

    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Takes one record off: what stands between its length and its line break.
fn cut(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(records.get(..space)?)?).ok()?;
    let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
    Some((record, records.get(length..)?))
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// A time in seconds with a fraction, rounded down.
fn seconds(text: &[u8]) -> Option<i64> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let whole = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let beyond = i64::from(fraction.iter().any(|digit| *digit != b'0'));
    if negative {
        (-whole).checked_sub(beyond)
    } else {
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(records: &[u8]) -> Option<Extended> {
        let mut extended = Extended::default();
        extended.read(records).ok().map(|()| extended)
    }

    #[test]
    fn what_matters_is_read_and_the_rest_is_passed_over() {
        let extended =
            read(b"21 hdrcharset=BINARY\n12 path=a=b\n14 size=12345\n22 mtime=1700000000.5\n9 x=\xff\n\0=\n")
                .unwrap();
        assert_eq!(
            extended,
            Extended {
                name: Some(b"a=b".to_vec()),
                sparse_name: None,
                size: Some(12_345),
                mtime: Some(1_700_000_000),
                sparse: false,
            }
        );
        let sparse = read(b"22 GNU.sparse.major=1\n21 GNU.sparse.name=a\n15 path=made/a\n").unwrap();
        assert_eq!((sparse.sparse, sparse.name()), (true, Some(&b"a".to_vec())));
        assert_eq!(read(b"11 path=ab\n8 path=\n"), Some(Extended::default()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for records in [
            &b"no length\n"[..],
            b" path=a\n",
            b"12 path=a\n",
            b"99 path=a\n",
            b"2 \n",
            b"0 path=a\n",
            b"18446744073709551616 path=a\n",
            b"11 size=-1\n\n",
            b"10 size=x\n",
            b"28 size=99999999999999999999\n",
            b"12 mtime=1x\n",
            b"13 mtime=1.x\n",
            b"7 path\n",
        ] {
            assert_eq!(read(records), None, "{}", String::from_utf8_lossy(records));
        }
    }

    #[test]
    fn times_are_rounded_down() {
        for (text, number) in [
            (&b"0"[..], Some(0)),
            (b"12.999", Some(12)),
            (b"-12", Some(-12)),
            (b"-12.000", Some(-12)),
            (b"-12.001", Some(-13)),
            (b"1.2.3", None),
            (b"", None),
            (b"-", None),
            (b"+1", None),
        ] {
            assert_eq!(seconds(text), number);
        }
    }
}
