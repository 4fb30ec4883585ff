//! Archives as nobody's program makes them: any names, any modes, nothing packed.
#![allow(dead_code, unreachable_pub)]

/// A file's content, as an entry of a zip: its name, its mode and what is in it.
pub type Entry<'a> = (&'a [u8], u32, &'a [u8]);

/// The mode of a plain file.
pub const PLAIN: u32 = 0o100_644;

/// An archive of plain files.
pub fn files(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<Entry<'_>> =
        files.iter().map(|(name, content)| (name.as_bytes(), PLAIN, *content)).collect();
    zip(&entries)
}

/// An archive of anything.
pub fn zip(entries: &[Entry<'_>]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, mode, content) in entries {
        let at = u32::try_from(out.len()).unwrap();
        // Version, flags (UTF-8), method, time and date; sum, sizes and the lengths of the names.
        let mut middle = Vec::new();
        for number in [20_u16, 1 << 11, 0, 0, 33] {
            middle.extend(number.to_le_bytes());
        }
        let size = u32::try_from(content.len()).unwrap();
        for number in [crc(content), size, size] {
            middle.extend(number.to_le_bytes());
        }
        middle.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        middle.extend([0; 2]);
        out.extend(b"PK\x03\x04");
        out.extend(&middle);
        out.extend(*name);
        out.extend(*content);
        directory.extend(b"PK\x01\x02");
        // Made by Unix, for the mode to count.
        directory.extend([20, 3]);
        directory.extend(&middle);
        // Comment, disk and what is within.
        directory.extend([0; 6]);
        directory.extend((mode << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(*name);
    }
    let (at, size) = (out.len(), directory.len());
    out.extend(directory);
    out.extend(b"PK\x05\x06");
    out.extend([0; 4]);
    let number = u16::try_from(entries.len()).unwrap().to_le_bytes();
    out.extend(number);
    out.extend(number);
    out.extend(u32::try_from(size).unwrap().to_le_bytes());
    out.extend(u32::try_from(at).unwrap().to_le_bytes());
    out.extend([0; 2]);
    out
}

fn crc(data: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
    !data.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}
