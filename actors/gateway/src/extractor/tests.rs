//! Ids in headers, forms and bodies.

use bytes::Bytes;
use http::HeaderName;
use http::header::CONTENT_TYPE;
use proptest::prelude::*;

use super::*;
use crate::session::tests::draft;

fn extractor(source: Source, with: With) -> Extractor {
    Extractor { source, with }
}

fn header() -> Source {
    Source::Header(HeaderName::from_static("testkeyheader"))
}

fn form() -> Source {
    Source::Form("auth".to_owned())
}

fn regex(text: &str, index: usize) -> With {
    With::Regex(Regex::new(text).unwrap(), index)
}

fn xpath(text: &str) -> With {
    With::XPath(XPath::parse(text).unwrap())
}

fn with_header(value: &str) -> Draft {
    let mut draft = draft("GET", "/api/");
    draft.headers.insert("testkeyheader", value.parse().unwrap());
    draft
}

fn with_body(kind: &str, body: &str) -> Draft {
    let mut draft = draft("POST", "/api/?a=1");
    draft.headers.insert(CONTENT_TYPE, kind.parse().unwrap());
    draft.body = Some(Bytes::copy_from_slice(body.as_bytes()));
    draft
}

const FORM: &str = "application/x-www-form-urlencoded";

fn is_missing(extractor: &Extractor, draft: &Draft) {
    let denied = extractor.extract(draft).unwrap_err();
    assert_eq!(denied.status, StatusCode::BAD_REQUEST);
    assert_eq!(denied.message, "Authorization field missing");
}

#[test]
fn t47_the_value_of_a_header() {
    let extractor = extractor(header(), With::Value);
    is_missing(&extractor, &draft("GET", "/api/"));
    is_missing(&extractor, &with_header(""));
    let found = extractor.extract(&with_header("testkey")).unwrap();
    assert_eq!(session_id("org", &found, None), format!("org{}", hash::md5("testkey")));
}

#[test]
fn t48_the_values_of_a_form() {
    let extractor = extractor(form(), With::Value);
    is_missing(&extractor, &draft("GET", "/api/"));
    is_missing(&extractor, &with_body(FORM, "other=1"));
    is_missing(&extractor, &with_body("application/json", "auth=testkey"));
    assert_eq!(extractor.extract(&with_body(FORM, "auth=test%6Bey&b=2")).unwrap(), "testkey");
    let charset = format!("{FORM}; charset=UTF-8");
    assert_eq!(extractor.extract(&with_body(&charset, "auth=testkey")).unwrap(), "testkey");
    let mut both = with_body(FORM, "auth=b&auth=o+dy");
    both.target.query = Some("auth=query".to_owned());
    assert_eq!(extractor.extract(&both).unwrap(), "bo dyquery");
    assert_eq!(extractor.extract(&draft("GET", "/api/?auth=x")).unwrap(), "x");
    assert!(extractor.wants_body(&both.headers) && !extractor.wants_body(&HeaderMap::new()));
}

#[test]
fn t49_a_match_as_a_whole() {
    let requests = |value: &str| {
        let body = format!("auth={value}");
        [
            (header(), with_header(value)),
            (form(), with_body(FORM, &body)),
            (Source::Body, with_body("text/plain", value)),
        ]
    };
    for (source, request) in requests("prefix-testkey123") {
        let extractor = extractor(source, regex("prefix-(.*)", 0));
        assert_eq!(extractor.extract(&request).unwrap(), "prefix-testkey123");
    }
    for (source, request) in requests("none") {
        is_missing(&extractor(source, regex("prefix-(.*)", 0)), &request);
    }
    let numbers = |index| extractor(header(), regex("[0-9]+", index));
    assert_eq!(numbers(1).extract(&with_header("a1b22c")).unwrap(), "22");
    is_missing(&numbers(2), &with_header("a1b22c"));
}

#[test]
fn t50_the_text_of_a_node() {
    let xml = "<object><key>thevalue</key></object>";
    for (source, request) in [
        (header(), with_header(xml)),
        (form(), with_body(FORM, "auth=%3Cobject%3E%3Ckey%3Ethevalue%3C/key%3E%3C/object%3E")),
        (Source::Body, with_body("text/xml", xml)),
    ] {
        let extractor = extractor(source, xpath("//object/key"));
        assert_eq!(extractor.extract(&request).unwrap(), "thevalue");
    }
    let extractor = extractor(Source::Body, xpath("//object/key"));
    for body in ["", "<object/>", "<object><key/></object>", "no xml", "<object><key>x"] {
        is_missing(&extractor, &with_body("text/xml", body));
    }
    is_missing(&extractor, &draft("POST", "/api/"));
}

#[test]
fn paths_lead_to_nodes() {
    let xml = r#"<!-- c --><r><a id="1">one</a><b><a id="2">t<i>w</i>o</a><a id="3">three</a></b>
        <n:d xmlns:n="x" n:id="5" k="v">four</n:d></r>"#;
    let text = |path: &str| XPath::parse(path).unwrap().text(xml);
    for (path, found) in [
        ("/r/a", Some("one")),
        ("r/a", Some("one")),
        ("//a", Some("one")),
        ("/r/b/a", Some("two")),
        ("//b/a[2]", Some("three")),
        ("//a[@id='3']", Some("three")),
        ("//a[@id=\"2\"]/i", Some("w")),
        ("//a[i]", Some("two")),
        ("//a[i='w']/@id", Some("2")),
        ("//b//i", Some("w")),
        ("//b/*[1]", Some("two")),
        ("//i/..", Some("two")),
        ("//i/../../a[2]/text()", Some("three")),
        ("/r/child::b/descendant::i", Some("w")),
        ("//d/@k", Some("v")),
        ("//d/@*", Some("5")),
        ("//a[.='three']/@id", Some("3")),
        ("/r/b/a[ 1 ]/text()", Some("t")),
        ("//none", None),
        ("/a", None),
        ("//a[4]", None),
    ] {
        assert_eq!(text(path).as_deref(), found, "{path}");
    }
    // The first in the document, not the first of the nearest step.
    let nested = "<r><x><k>inner</k></x><k>outer</k></r>";
    assert_eq!(XPath::parse("//k").unwrap().text(nested).as_deref(), Some("inner"));
}

#[test]
fn paths_that_are_not_supported_say_where() {
    for (path, at) in [
        ("", 0),
        ("//", 2),
        ("/r/", 3),
        ("r[", 2),
        ("r[1", 3),
        ("r[0]", 2),
        ("r[@a=b]", 5),
        ("r[@a='b]", 6),
        ("count(//a)", 0),
        ("ancestor::a", 0),
        ("n:a", 0),
        ("r]", 1),
        ("r[/a]", 2),
    ] {
        assert_eq!(XPath::parse(path).unwrap_err().at, at, "{path}");
    }
    XPath::parse(&"/a".repeat(100)).unwrap_err();
}

#[test]
fn documents_that_would_grow_are_not_read() {
    let bomb = "<!DOCTYPE r [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;'>]><r>&b;</r>";
    assert_eq!(XPath::parse("/r").unwrap().text(bomb), None);
    let many = format!("<r>{}</r>", "<a/>".repeat(3000));
    assert_eq!(XPath::parse("//a//a//a[//b]").map(|path| path.text(&many)).ok().flatten(), None);
}

#[test]
fn documents_that_take_long_to_look_at_are_not_read() {
    let text = |path: &str, xml: &str| XPath::parse(path).unwrap().text(xml);
    let attributes = |count: usize, begin: &str| {
        let all: String = (0..count).map(|number| format!(" a{number}='=>' ")).collect();
        format!("{begin}<r{all}><k>1</k></r>")
    };
    for begin in ["", "<!-- ' <a b=\" -->", "<?xml version='1.0'?><?x '?>"] {
        assert_eq!(text("//k", &attributes(256, begin)).as_deref(), Some("1"), "{begin}");
        assert_eq!(text("//k", &attributes(257, begin)), None, "{begin}");
    }
    let hidden = attributes(300, "").replace("<k>", "<![CDATA[<q '\" ]]><k>");
    assert_eq!(text("//k", &hidden), None);
    let spaces: String =
        (0..300).map(|number| format!("<r xmlns:n{number}='u{number}'>")).collect();
    assert_eq!(text("/r", &format!("{spaces}1{}", "</r>".repeat(300))), None);
    let nested = |depth: usize| format!("{}y{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert_eq!(text("//a[.='y']", &nested(100)).as_deref(), Some("y"));
    assert_eq!(text("//a[.='x']", &nested(20_000)), None);
}

proptest! {
    #[test]
    fn never_panics(path in "[/@a*.\\[\\]'=0-9: ()]{0,24}", xml in "[<>/a=\"' ]{0,32}") {
        if let Ok(path) = XPath::parse(&path) {
            path.text(&xml);
            path.text("<a a='1'><a>2</a></a>");
        }
    }
}
