//! What a path does not take is refused: passed over, a name with a slip in it would be an answer to another
//! question.

use crate::given::{Given, Route};
use crate::request::Refused;
use crate::routes::Entry;

/// What an entry of the table makes of a request, all of which it has to know. Parameters of what is told to
/// everybody are passed over, since orchestrators have some of their own, such as `verbose`.
pub(crate) fn route(entry: &Entry, given: &Given<'_>) -> Result<Route, Refused> {
    if !entry.open {
        check(entry, given.query.0)?;
    }
    (entry.read)(given)
}

fn check(entry: &Entry, query: &str) -> Result<(), Refused> {
    let mut seen = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
        if seen.contains(&name) {
            return Err(Refused::new(400, format!("`{name}` is given twice")));
        }
        if entry.query.iter().all(|one| one.name != name) {
            let known: Vec<_> = entry.query.iter().map(|one| format!("`{}`", one.name)).collect();
            let known = match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            };
            let why = format!("`{name}` is no parameter of `{}`, which takes {known}", entry.path);
            return Err(Refused::new(400, why));
        }
        seen.push(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::Query;
    use crate::route::find;

    #[test]
    fn what_is_not_known_is_refused() {
        let ask = |method, target: &str, body: &str| {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let (entry, word) = find(false, method, path).unwrap();
            let given = Given { word, method, query: Query(query), body: body.as_bytes() };
            route(entry, &given).map(drop).map_err(|refused| refused.why)
        };
        assert_eq!(ask("GET", "/v1/logs?name=a&n=3&follow", ""), Ok(()));
        assert_eq!(ask("GET", "/v1/logs?", ""), Ok(()));
        assert_eq!(ask("GET", "/readyz?verbose&exclude=x&exclude=y", ""), Ok(()));
        let wrong = [
            ("/v1/why?nam=a", "`nam` is no parameter of `/v1/why`, which takes `name`"),
            ("/v1/plan?now", "`now` is no parameter of `/v1/plan`, which takes none"),
            ("/v1/logs?name=a&name=b", "`name` is given twice"),
        ];
        for (target, why) in wrong {
            assert_eq!(ask("GET", target, ""), Err(why.to_owned()));
        }
        let signal = |body| ask("POST", "/v1/coprocesses/a/signal", body);
        assert_eq!(signal(r#"{"signal":"HUP"}"#), Ok(()));
        let why = "the body has `group`, and takes `signal` alone";
        assert_eq!(signal(r#"{"signal":"HUP","group":true}"#), Err(why.to_owned()));
    }
}
