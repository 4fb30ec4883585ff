//! Which hosts the coordinator may connect to on a requester's behalf. Pure.

use std::fmt;
use std::net::IpAddr;

/// Hosts, as a list of `*`, names, addresses and networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow(pub Vec<Host>);

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Every host, but for addresses that only the machine's own network answers: those that are
    /// local to a link, as the metadata services of clouds are, and those of groups.
    Any,
    /// One name, in lower case.
    Name(String),
    /// The addresses that begin with these bits.
    Network(IpAddr, u8),
}

impl Host {
    /// Reads an entry.
    pub fn read(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        if let Ok(address) = address.trim_matches(['[', ']']).parse::<IpAddr>() {
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(all);
            return (bits <= all).then_some(Self::Network(address, bits));
        }
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name = bits.is_none() && !text.is_empty() && text.bytes().all(letter);
        is_name.then(|| Self::Name(text.to_ascii_lowercase()))
    }
}

impl Allow {
    /// Whether a connection to this address of the host of this name is allowed.
    pub(crate) fn address(&self, name: &str, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|host| match host {
            Host::Any => !is_special(address),
            Host::Name(allowed) => allowed.eq_ignore_ascii_case(name),
            Host::Network(network, bits) => within(address, *network, *bits),
        })
    }

    /// Whether a host of this name may turn out to be allowed once its address is known.
    pub(crate) fn name(&self, name: &str) -> bool {
        match name.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => self.address(name, address),
            Err(_) => self.0.iter().any(|host| match host {
                Host::Any | Host::Network(..) => true,
                Host::Name(allowed) => allowed.eq_ignore_ascii_case(name),
            }),
        }
    }
}

fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_link_local() || address.is_multicast() || address.is_broadcast()
        }
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_multicast(),
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (address, network, all) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let rest = all - u32::from(bits);
    // Shifting all bits out is more than Rust shifts.
    address.checked_shr(rest).unwrap_or(0) == network.checked_shr(rest).unwrap_or(0)
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => out.write_str("*"),
            Self::Name(name) => out.write_str(name),
            Self::Network(address, bits) => write!(out, "{address}/{bits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(list: &[&str], name: &str, address: &str) -> bool {
        let allow = Allow(list.iter().map(|text| Host::read(text).unwrap()).collect());
        let address = address.parse().unwrap();
        // What is refused by name is never allowed by address.
        assert!(allow.name(name) || !allow.address(name, address));
        allow.address(name, address)
    }

    #[test]
    fn k06_hosts_by_name_address_and_network() {
        assert!(allowed(&["*"], "h", "10.0.0.1"));
        assert!(allowed(&["*"], "h", "127.0.0.1"));
        assert!(!allowed(&["*"], "metadata", "169.254.169.254"));
        assert!(!allowed(&["*"], "metadata", "::ffff:169.254.169.254"));
        assert!(!allowed(&["*"], "h", "fe80::1"));
        assert!(allowed(&["*", "169.254.0.0/16"], "metadata", "169.254.169.254"));
        assert!(allowed(&["10.0.0.0/8"], "h", "10.255.0.1"));
        assert!(!allowed(&["10.0.0.0/8"], "h", "11.0.0.1"));
        assert!(allowed(&["0.0.0.0/0"], "h", "11.0.0.1"));
        assert!(!allowed(&["0.0.0.0/0"], "h", "::1"));
        assert!(allowed(&["[::1]"], "h", "::1"));
        assert!(allowed(&["hooks.example"], "HOOKS.example", "10.0.0.1"));
        assert!(!allowed(&["hooks.example"], "other", "10.0.0.1"));
        assert!(!allowed(&[], "h", "10.0.0.1"));
    }

    #[test]
    fn what_is_no_host() {
        for text in ["", "10.0.0.0/33", "::/129", "a/8", "a b", "http://h", "10.0.0.0/x"] {
            assert_eq!(Host::read(text), None, "{text}");
        }
    }
}
