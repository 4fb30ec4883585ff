//! Addresses of plugin servers, in all forms that gRPC and its users write. Pure.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

/// Where a plugin server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host, looked up whenever it is connected to; the first of its addresses that answers is taken.
    Host {
        /// A name or an address, an IPv6 one without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A name, each of whose addresses is a server of its own.
    Name {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
    /// A Unix socket in the abstract namespace.
    Abstract(String),
}

/// Why a text is no address of a plugin server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no address of a plugin server: {problem}", address.escape_debug())]
pub struct AddressError {
    /// The text.
    pub address: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Address {
    /// Reads `HOST:PORT`, `tcp://HOST:PORT`, `passthrough:///HOST:PORT`, `dns:///NAME:PORT`, `unix:PATH`,
    /// `unix:///PATH` or `unix-abstract:NAME`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let wrong = |problem| AddressError { address: text.to_owned(), problem };
        if text.is_empty() {
            return Err(wrong("it is empty"));
        }
        if text.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
            return Err(wrong("it has a space or a control character"));
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(wrong("it has no port; `HOST:PORT` is expected"));
        };
        match scheme {
            "tcp" if rest.starts_with("//") => host_and_port(&rest[2..], Self::host),
            "passthrough" => host_and_port(endpoint(rest).map_err(wrong)?, Self::host),
            "dns" => host_and_port(endpoint(rest).map_err(wrong)?, Self::name),
            "unix" => unix(rest).map(Self::Unix),
            "unix-abstract" => match endpoint(rest) {
                Ok("") => Err("it has no name"),
                Ok(name) => Ok(Self::Abstract(name.to_owned())),
                Err(problem) => Err(problem),
            },
            "" => Err("it has neither scheme nor host before the colon"),
            _ if rest.starts_with("//") => {
                Err("its scheme is none of tcp, dns, passthrough, unix and unix-abstract; TLS is not spoken")
            }
            _ => host_and_port(text, Self::host),
        }
        .map_err(wrong)
    }

    /// What a server is told that it is called.
    pub fn authority(&self) -> String {
        match self {
            Self::Host { host, port } | Self::Name { host, port } => joined(host, *port),
            Self::Unix(_) | Self::Abstract(_) => "localhost".to_owned(),
        }
    }

    fn host(host: String, port: u16) -> Self {
        Self::Host { host, port }
    }

    fn name(host: String, port: u16) -> Self {
        Self::Name { host, port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port } => f.write_str(&joined(host, *port)),
            Self::Name { host, port } => write!(f, "dns:///{}", joined(host, *port)),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix-abstract:{name}"),
        }
    }
}

fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What follows the scheme of a gRPC target: `///ENDPOINT` or `ENDPOINT`.
fn endpoint(rest: &str) -> Result<&str, &'static str> {
    match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix('/').ok_or(
            "three slashes have to follow its scheme: a resolver of its own is not supported",
        ),
        None => Ok(rest),
    }
}

fn unix(rest: &str) -> Result<PathBuf, &'static str> {
    let path = match rest.strip_prefix("//") {
        Some(path) if !path.starts_with('/') => {
            return Err("its path is not absolute; `unix:PATH` may be relative");
        }
        Some(path) => path,
        None => rest,
    };
    if path.is_empty() { Err("it has no path") } else { Ok(path.into()) }
}

fn host_and_port(
    text: &str,
    make: impl Fn(String, u16) -> Address,
) -> Result<Address, &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("it has no port; `HOST:PORT` is expected")?;
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    let port = port.ok_or("its port is not a number from 1 to 65535")?;
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let known = inner.parse::<Ipv6Addr>().is_ok();
        return if known {
            Ok(make(inner.to_owned(), port))
        } else {
            Err("its host is no IPv6 address")
        };
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if host.is_empty() || !host.bytes().all(letter) {
        return Err("its host is neither a name nor an address; IPv6 addresses stand in brackets");
    }
    Ok(make(host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t58_addresses_in_all_forms() {
        for (text, read, authority) in [
            ("localhost:9000", "localhost:9000", "localhost:9000"),
            ("tcp://localhost:3000", "localhost:3000", "localhost:3000"),
            ("tcp://127.0.0.1:5555", "127.0.0.1:5555", "127.0.0.1:5555"),
            ("tcp://[::]:5555", "[::]:5555", "[::]:5555"),
            ("127.0.0.1:5555", "127.0.0.1:5555", "127.0.0.1:5555"),
            ("[::1]:5555", "[::1]:5555", "[::1]:5555"),
            ("dns:///svc:5555", "dns:///svc:5555", "svc:5555"),
            ("dns:svc:5555", "dns:///svc:5555", "svc:5555"),
            ("passthrough:///h:1", "h:1", "h:1"),
            ("unix:///run/x.sock", "unix:/run/x.sock", "localhost"),
            ("unix:/run/x.sock", "unix:/run/x.sock", "localhost"),
            ("unix:x.sock", "unix:x.sock", "localhost"),
            ("unix-abstract:x", "unix-abstract:x", "localhost"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.authority().as_str()),
                (read, authority)
            );
        }
    }

    #[test]
    fn t58_what_is_no_address_is_refused() {
        for text in [
            "",
            "://invalid",
            "localhost",
            "localhost:",
            "localhost:0",
            "localhost:99999",
            ":80",
            "::1:5555",
            "[::1:5555",
            "[x]:1",
            "http://a:1",
            "https://a:1",
            "tcp://",
            "tcp://a",
            "dns://8.8.8.8/svc:1",
            "dns:///svc",
            "unix://x.sock",
            "unix:",
            "unix-abstract:",
            "a b:1",
        ] {
            let error = Address::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("`{text}` is no address")), "{error}");
        }
    }
}
