//! Ids of sessions, and their hashes. Pure.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::Value;
use sha2::Sha256;

/// How ids are hashed before they become names in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFunction {
    /// 32 bits of MurmurHash3.
    Murmur32,
    /// The first 64 of the 128 bits.
    Murmur64,
    /// 128 bits of MurmurHash3.
    Murmur128,
    /// SHA-256.
    Sha256,
}

impl HashFunction {
    /// The function of a name; an unknown one is `murmur64`, and an empty one none.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "" => None,
            "murmur32" => Some(Self::Murmur32),
            "murmur128" => Some(Self::Murmur128),
            "sha256" => Some(Self::Sha256),
            _ => Some(Self::Murmur64),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Murmur32 => "murmur32",
            Self::Murmur64 => "murmur64",
            Self::Murmur128 => "murmur128",
            Self::Sha256 => "sha256",
        }
    }

    /// The hash in lower-case hexadecimal digits.
    pub fn hash(self, text: &str) -> String {
        match self {
            Self::Murmur32 => format!("{:08x}", murmur32(text.as_bytes())),
            Self::Murmur64 => format!("{:016x}", murmur128(text.as_bytes()).0),
            Self::Murmur128 => {
                let (first, second) = murmur128(text.as_bytes());
                format!("{first:016x}{second:016x}")
            }
            Self::Sha256 => hex(&Sha256::digest(text.as_bytes())),
        }
    }
}

/// MD5 in lower-case hexadecimal digits.
pub fn md5(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

/// The id of a session: of an organisation, and of what tells its sessions apart.
pub fn session_id(org: &str, id: &str, function: Option<HashFunction>) -> String {
    match function {
        None => format!("{org}{id}"),
        Some(function) => {
            let quoted = |text: &str| Value::from(text).to_string();
            let json = format!(
                r#"{{"org":{},"id":{},"h":"{}"}}"#,
                quoted(org),
                quoted(id),
                function.name()
            );
            STANDARD.encode(json)
        }
    }
}

/// How an id becomes a name in the store where keys are hashed: by the function that it names itself, else
/// by `murmur32`.
pub fn stored_name(id: &str) -> String {
    let function = STANDARD
        .decode(id)
        .ok()
        .and_then(|json| serde_json::from_slice::<Value>(&json).ok())
        .and_then(|value| HashFunction::named(value.get("h")?.as_str()?));
    function.unwrap_or(HashFunction::Murmur32).hash(id)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// MurmurHash3, x86, 32 bits, seed 0.
fn murmur32(bytes: &[u8]) -> u32 {
    let mix = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (words, tail) = bytes.as_chunks::<4>();
    let mut hash = 0u32;
    for word in words {
        hash ^= mix(u32::from_le_bytes(*word));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let mut last = [0; 4];
    last[..tail.len()].copy_from_slice(tail);
    hash ^= mix(u32::from_le_bytes(last));
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// MurmurHash3, x64, 128 bits, seed 0.
fn murmur128(bytes: &[u8]) -> (u64, u64) {
    const FIRST: u64 = 0x87c3_7b91_1142_53d5;
    const SECOND: u64 = 0x4cf5_ad43_2745_937f;
    let low = |word: u64| word.wrapping_mul(FIRST).rotate_left(31).wrapping_mul(SECOND);
    let high = |word: u64| word.wrapping_mul(SECOND).rotate_left(33).wrapping_mul(FIRST);
    let halves = |block: &[u8; 16]| {
        let (words, _) = block.as_chunks::<8>();
        (u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]))
    };
    let (blocks, tail) = bytes.as_chunks::<16>();
    let (mut one, mut two) = (0u64, 0u64);
    for block in blocks {
        let (first, second) = halves(block);
        one = (one ^ low(first)).rotate_left(27).wrapping_add(two);
        one = one.wrapping_mul(5).wrapping_add(0x52dc_e729);
        two = (two ^ high(second)).rotate_left(31).wrapping_add(one);
        two = two.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let mut last = [0; 16];
    last[..tail.len()].copy_from_slice(tail);
    let (first, second) = halves(&last);
    // Of zero both are zero, so that a missing tail changes nothing.
    one ^= low(first);
    two ^= high(second);
    one ^= bytes.len() as u64;
    two ^= bytes.len() as u64;
    one = one.wrapping_add(two);
    two = two.wrapping_add(one);
    one = finish(one);
    two = finish(two);
    one = one.wrapping_add(two);
    (one, two.wrapping_add(one))
}

fn finish(mut word: u64) -> u64 {
    word = (word ^ (word >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    word = (word ^ (word >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}
