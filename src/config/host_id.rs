//! What tells this machine from others: its id, else its network cards, else chance.

use std::fs;
use std::io::Read;
use std::path::Path;

use md5::{Digest, Md5};

const MACHINE_IDS: [&str; 2] = ["var/lib/dbus/machine-id", "etc/machine-id"];

/// The id of the machine whose file system begins at `root`. Each step that failed is a warning.
pub(super) fn host_id(root: &Path, warnings: &mut Vec<String>) -> String {
    // The second file only stands in for a first one that cannot be read, not for a blank one.
    let id = MACHINE_IDS.iter().find_map(|file| fs::read_to_string(root.join(file)).ok());
    match id.as_deref().map(str::trim) {
        Some("") => warnings.push("host_id: the machine's id is blank".to_owned()),
        Some(id) => return id.to_owned(),
        None => warnings.push("host_id: the machine's id cannot be read".to_owned()),
    }
    let addresses = hardware_addresses(&root.join("sys/class/net"));
    if !addresses.is_empty() {
        return hex(&Md5::digest(addresses.concat()));
    }
    warnings.push("host_id: no network card has an address".to_owned());
    let mut bytes = [0; 16];
    match fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => hex(&bytes),
        Err(error) => {
            warnings.push(format!("host_id: there is no randomness either: {error}"));
            String::new()
        }
    }
}

/// The addresses of all network interfaces that have one, in the order of their indices.
fn hardware_addresses(folder: &Path) -> Vec<String> {
    let read = |path: &Path, file: &str| {
        fs::read_to_string(path.join(file)).ok().map(|text| text.trim().to_owned())
    };
    let mut interfaces = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let index: u32 = read(&entry.path(), "ifindex")?.parse().ok()?;
            let address = read(&entry.path(), "address")?;
            let blank = address.chars().all(|c| c == '0' || c == ':');
            (!blank).then_some((index, address))
        })
        .collect::<Vec<_>>();
    interfaces.sort();
    interfaces.into_iter().map(|(_, address)| address).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_chain() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut warnings = Vec::new();

        let random = host_id(root, &mut warnings);
        assert_eq!((random.len(), warnings.len()), (32, 2));

        for (name, index, address) in [
            ("lo", "1", "00:00:00:00:00:00"),
            ("eth1", "10", "02:42:ac:11:00:03"),
            ("eth0", "2", "02:42:ac:11:00:02"),
        ] {
            file(root, &format!("sys/class/net/{name}/ifindex"), index);
            file(root, &format!("sys/class/net/{name}/address"), address);
        }
        warnings.clear();
        let expected = hex(&Md5::digest("02:42:ac:11:00:0202:42:ac:11:00:03"));
        assert_eq!(host_id(root, &mut warnings), expected);
        assert_eq!(warnings.len(), 1);

        warnings.clear();
        file(root, "etc/machine-id", "abc\n");
        assert_eq!(host_id(root, &mut warnings), "abc");
        assert_eq!(warnings, [""; 0]);
        file(root, "var/lib/dbus/machine-id", " \n");
        assert_eq!(host_id(root, &mut warnings), expected);
    }
}
