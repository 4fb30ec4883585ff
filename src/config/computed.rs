//! Values that the config does not say itself: they depend on others or on the machine.

use coproc_core::scope::NOT_RELOADED;
use coproc_main::config::Kind;
use serde_json::Value as Json;

use super::tree::Path;
use super::{Config, Loaded};

/// Those values by their paths.
pub(super) fn computed(loaded: &Loaded, config: &Config) -> Vec<(Path, Json)> {
    let facts = &config.facts;
    let mut out: Vec<(&[&str], Json)> = vec![
        (&["host_id"], facts.host_id.as_str().into()),
        (&["nginx_binary"], facts.nginx_binary.as_str().into()),
        (&["nginx_version"], facts.nginx_version.as_str().into()),
        (&["nginx_is_plus"], facts.nginx_is_plus.into()),
        (&["last_reload_time"], NOT_RELOADED.into()),
        (&["modules_path"], facts.modules_path.as_str().into()),
        (&["vcpu_count"], facts.vcpu_count.into()),
        (&["run_path"], config.run_path.display().to_string().into()),
        (&["conf_path"], config.conf_path.display().to_string().into()),
        (&["main", "exec"], config.main.exec.clone().into()),
        (
            &["main", "kind"],
            match config.main.kind {
                Kind::Nginx => "nginx".into(),
                Kind::Program => "program".into(),
                Kind::None => "none".into(),
            },
        ),
        (&["main", "check"], config.main.check().map_or("none".into(), Into::into)),
        (
            &["control", "socket"],
            match &config.control.socket {
                Some(path) => path.display().to_string().into(),
                None => "none".into(),
            },
        ),
    ];
    if loaded.template {
        let table = loaded.root.template.as_ref();
        let suffix = table.and_then(|t| t.template_suffix.as_deref()).unwrap_or(".tmpl");
        let unset =
            |key: &str| loaded.stack.node(&["template".to_owned(), key.to_owned()]).is_none();
        if unset("conf_template_path") {
            out.push((&["template", "conf_template_path"], default_source(suffix).into()));
        }
        if unset("conf_output_path") {
            let path = config.conf_path.display().to_string();
            out.push((&["template", "conf_output_path"], path.into()));
        }
        let words = table.and_then(|table| table.run_path_subdirs.clone());
        if let Some(words) = words {
            out.push((&["template", "run_path_subdirs"], words.0.into()));
        }
    }
    // An empty list would read as if none were in force, where unset means all.
    let said = loaded.stack.said(&["enabled_plugins".to_owned()]).is_some();
    let words = loaded.root.enabled_plugins.as_ref().filter(|_| said);
    out.push((&["enabled_plugins"], words.map_or(Json::Null, |words| words.0.clone().into())));
    out.into_iter()
        .map(|(path, value)| (path.iter().map(|key| (*key).to_owned()).collect(), value))
        .collect()
}

/// `template.conf_template_path` where nobody says it.
pub(super) fn default_source(suffix: &str) -> String {
    format!("./nginx.conf{suffix}")
}
