//! Drivers that this program is built with and those that it is not: `coproc check` tells them apart. `make
//! features` runs this for builds that lack some.

#[path = "support/snapshot.rs"]
#[allow(dead_code)]
mod snapshot;

use snapshot::{coproc, folder};

/// The drivers, and whether they are there.
const DRIVERS: [(&str, bool); 4] = [
    ("grpc", cfg!(feature = "grpc")),
    ("python", cfg!(feature = "python")),
    ("lua", cfg!(feature = "lua")),
    ("native", cfg!(feature = "native")),
];

#[test]
fn an_api_that_asks_for_a_driver_that_is_not_compiled_in_is_an_error() {
    for (driver, is_there) in DRIVERS {
        let api = |hooks: &str| {
            format!(
                "[main]\nkind = \"none\"\n[gateway]\n[[gateway.api]]\napi_id = \"a\"\n\
                 use_keyless = true\n\
                 proxy = {{ listen_path = \"/a/\", target_url = \"http://127.0.0.1:1/\" }}\n{hooks}"
            )
        };
        let hooks =
            format!("custom_middleware = {{ driver = \"{driver}\", pre = [{{ name = \"h\" }}] }}");
        let check = |text: &str| {
            let folder = folder(&[("coproc.toml", text)]);
            coproc(folder.path(), &["check", "-c", "coproc.toml"], &[]).show()
        };
        let said = check(&api(&hooks));
        let lacking = match cfg!(feature = "coprocess") {
            true => format!("this coproc is built without the driver `{driver}`"),
            false => "this coproc is built without hooks (the feature `coprocess`)".to_owned(),
        };
        assert_eq!(said.contains(&lacking), !is_there, "{driver}: {said}");
        assert_eq!(said.starts_with("exit_code: 0\n"), is_there, "{driver}: {said}");
        // Without hooks nothing is lacking.
        let said = check(&api(""));
        assert!(said.starts_with("exit_code: 0\n"), "{driver}: {said}");
    }
}
