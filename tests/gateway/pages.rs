//! Pages of errors by templates of one's own.

use serde_json::json;

use crate::rig::{Rig, keyed};
use crate::support::{Place, eventually};
use crate::upstream::Upstream;

#[test]
fn a_status_may_have_a_page_of_its_own_and_a_reload_reads_it_anew() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("error_401.json", "{\"no\": \"{{.Message}}\"}");
    write("error_401.xml", "<no code=\"{{.StatusCode}}\">{{.Message}}</no>");
    write("error.json", "[{{.StatusCode}}]");
    let keys = format!("template_path = \"{}\"", folder.path().display());
    let rig = Rig::with(&keys, "", &[keyed(upstream.port, json!({}))]);
    let answer = rig.get("/api/");
    assert_eq!((answer.status(), answer.header("Content-Type")), (401, Some("application/json")));
    assert_eq!(answer.text(), "{\"no\": \"Authorization field missing\"}");
    let xml = rig.request("POST", "/api/").body("text/xml", "<a/>").send();
    assert_eq!(xml.text(), "<no code=\"401\">Authorization field missing</no>");
    assert_eq!(rig.get("/nowhere").text(), "[404]");

    // A broken one changes nothing, and is told of.
    write("error_401.json", "{{.Message");
    rig.coproc(&["reload"]);
    rig.wrapper.wait_for("error_401.json:1:");
    assert_eq!(rig.get("/api/").text(), "{\"no\": \"Authorization field missing\"}");
    write("error_401.json", "again");
    rig.coproc(&["reload"]);
    eventually("it is read", || rig.get("/api/").text() == "again");
}

#[test]
fn a_broken_template_is_found_by_check_and_nothing_is_started() {
    let place = Place::new();
    place.write("coproc.toml", "[main]\nkind = \"none\"\n[gateway]\ntemplate_path = \"pages\"\n");
    let told = |command: &str| {
        let output = place.coproc(&[command]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = told("check");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("gateway.template_path: ") && text.contains("cannot be read"), "{text}");
    std::fs::create_dir(place.path().join("pages")).unwrap();
    assert_eq!(told("check").0, Some(0));
    place.write("pages/error_500.json", "{{if}}");
    let (code, text) = told("check");
    assert!(code == Some(2) && text.contains("error_500.json:1:"), "{text}");
    assert_ne!(told("run").0, Some(0));
}

#[test]
fn policies_are_read_anew_at_a_reload() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policies.json");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("{\"gold\": {\"access_rights\": {\"other\": {}}}}");
    let keys = format!("policies = \"{}\"", file.display());
    let rig = Rig::with(&keys, "", &[keyed(upstream.port, json!({}))]);
    rig.coproc(&["keys", "add", "--key", "abc", "--policy", "gold"]);
    let status = || rig.request("GET", "/api/").header("Authorization", "abc").send().status();
    assert_eq!(status(), 403);
    write("{\"gold\": {\"access_rights\": {\"api1\": {}}}}");
    rig.coproc(&["reload"]);
    eventually("the policy is read", || status() == 200);
    write("{");
    rig.coproc(&["reload"]);
    rig.wrapper.wait_for("policies.json:1:");
    assert_eq!(status(), 200);
}
