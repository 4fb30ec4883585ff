//! What `nginx -V` says about a binary.

/// The facts that settings are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Such as `1.22.1`.
    pub number: String,
    /// Whether it is NGINX Plus.
    pub plus: bool,
    /// Where its dynamic modules are, if its build says so.
    pub modules_path: Option<String>,
}

impl Version {
    /// Reads the output of `nginx -V`, both streams together.
    ///
    /// A binary that prints its version and nothing else is taken as it is, and so are those whose
    /// version line has more before or after it (OpenResty, Tengine); `None` where no line holds a
    /// version.
    pub fn parse(output: &str) -> Option<Self> {
        let (number, detail) = output.lines().find_map(number)?;
        let configure = output.lines().find_map(|line| line.strip_prefix("configure arguments:"));
        Some(Self {
            number: number.to_owned(),
            plus: detail.trim_start().trim_start_matches('(').starts_with("nginx-plus"),
            modules_path: configure.and_then(modules_path),
        })
    }
}

/// The number in a version line, and what follows it.
fn number(line: &str) -> Option<(&str, &str)> {
    // OpenResty says `nginx version: openresty/1.21.4.1`, Angie `Angie version: Angie/1.5.2`.
    let known = ["nginx/", "openresty/", "Tengine/", "Angie/", "freenginx/"];
    let start = known.iter().find_map(|name| line.find(name).map(|at| at + name.len()))?;
    let rest = &line[start..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, detail) = rest.split_at(end);
    let parts = number.split('.').collect::<Vec<_>>();
    (parts.len() >= 3 && parts.iter().all(|part| !part.is_empty())).then_some((number, detail))
}

/// The argument of `--modules-path`. Arguments begin at white space before `--`; quotes stay.
fn modules_path(arguments: &str) -> Option<String> {
    // What is quoted may hold `--modules-path=` as well, but never after white space and `--`.
    let mut rest = arguments;
    while let Some(at) = rest.find("--") {
        let begins = at == 0 || rest[..at].ends_with(char::is_whitespace);
        let argument = &rest[at + 2..];
        if begins && let Some(value) = argument.strip_prefix("modules-path=") {
            let end = value.find(" --").unwrap_or(value.len());
            return Some(value[..end].trim().to_owned()).filter(|path| !path.is_empty());
        }
        rest = argument;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w15_open_source_and_plus() {
        let version = Version::parse("nginx version: nginx/1.17.9\n").unwrap();
        assert_eq!((version.number.as_str(), version.plus), ("1.17.9", false));
        let version = Version::parse("nginx version: nginx/1.17.9 (nginx-plus-r21)").unwrap();
        assert_eq!((version.number.as_str(), version.plus), ("1.17.9", true));
        let version = Version::parse("nginx version: nginx/1.23.4 (nginx-plus-r99)\n").unwrap();
        assert_eq!((version.number.as_str(), version.plus), ("1.23.4", true));
        let version = Version::parse("nginx/1.22.1 (Ubuntu)").unwrap();
        assert_eq!((version.number.as_str(), version.plus), ("1.22.1", false));
    }

    #[test]
    fn w12_a_version_line_alone_is_enough() {
        let version = Version::parse("nginx version: nginx/1.22.1").unwrap();
        assert_eq!(version.modules_path, None);
    }

    #[test]
    fn the_modules_path_of_the_build() {
        let output = "nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.11\n\
             TLS SNI support enabled\nconfigure arguments: --with-cc-opt='-g -O2 -fPIC' \
             --prefix=/usr/share/nginx --modules-path=/usr/lib/nginx/modules --with-debug\n";
        let version = Version::parse(output).unwrap();
        assert_eq!(version.modules_path.as_deref(), Some("/usr/lib/nginx/modules"));
        let last = "nginx/1.2.3\nconfigure arguments: --modules-path=/x/mods";
        assert_eq!(Version::parse(last).unwrap().modules_path.as_deref(), Some("/x/mods"));
        let empty = "nginx/1.2.3\nconfigure arguments: --modules-path=";
        assert_eq!(Version::parse(empty).unwrap().modules_path, None);
    }

    #[test]
    fn relatives_of_nginx_are_read_too() {
        for (line, number) in [
            ("nginx version: openresty/1.21.4.1", "1.21.4.1"),
            ("Tengine version: Tengine/2.3.3 (nginx/1.18.0)", "1.18.0"),
            ("Angie version: Angie/1.5.2", "1.5.2"),
        ] {
            assert_eq!(Version::parse(line).unwrap().number, number, "{line}");
        }
    }

    #[test]
    fn what_is_no_nginx() {
        for output in ["", "-V\n", "nginx version: nginx/1.2", "nginx/1..2", "bash, version 5.2.15"]
        {
            assert_eq!(Version::parse(output), None, "{output}");
        }
    }
}
