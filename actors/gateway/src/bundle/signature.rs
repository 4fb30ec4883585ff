//! Signatures of bundles: RSA with PKCS #1 v1.5 over SHA-256.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use tokio_rustls::rustls::pki_types::SubjectPublicKeyInfoDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// The identifier of RSA with its empty parameters, as it stands in keys.
const RSA: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// A public key.
#[derive(Clone, Debug)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Reads a file in PEM, `PUBLIC KEY`.
    ///
    /// # Errors
    /// Why there is no such key.
    pub fn read(path: &Path) -> Result<Self, String> {
        let key = SubjectPublicKeyInfoDer::from_pem_file(path);
        let key = key.map_err(|error| format!("is no public key in PEM: {error}"))?;
        let own = rsa(&key).ok_or("is no public key of RSA")?;
        Ok(Self(own.to_owned()))
    }

    /// Whether a signature, in base64, is this key's for `content`.
    ///
    /// # Errors
    /// Why it is not.
    pub fn verify(&self, content: &[u8], signature: &str) -> Result<(), String> {
        let signature = STANDARD
            .decode(signature.trim())
            .map_err(|error| format!("its signature is no base64: {error}"))?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.0)
            .verify(content, &signature)
            .map_err(|_| {
                "RSA verification error: the signature is not that of `public_key_path`".into()
            })
    }
}

/// The key itself within a key that says of which kind it is.
fn rsa(key: &[u8]) -> Option<&[u8]> {
    let (whole, rest) = tagged(SEQUENCE, key)?;
    let (bits, after) = tagged(BIT_STRING, whole.strip_prefix(RSA)?)?;
    // All bits of the last byte are used.
    let own = bits.strip_prefix(&[0])?;
    (rest.is_empty() && after.is_empty()).then_some(own)
}

/// What stands in an element of DER, and what follows it.
fn tagged(tag: u8, data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[first, short], rest) = data.split_first_chunk::<2>()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81 | 0x82 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short - 0x80))?;
            let length = digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_that_are_no_key_make_one() {
        let long = [&[SEQUENCE, 0x82, 0xff, 0xff][..], RSA].concat();
        for bytes in [&[][..], &[SEQUENCE], &[SEQUENCE, 0x84, 0, 0, 0, 1], RSA, &long] {
            assert_eq!(rsa(bytes), None, "{bytes:?}");
        }
        let key = [&[SEQUENCE, 19][..], RSA, &[BIT_STRING, 2, 0, 7]].concat();
        assert_eq!(rsa(&key), Some(&[7][..]));
        let more = [&key[..], &[0]].concat();
        assert_eq!(rsa(&more), None);
    }
}
