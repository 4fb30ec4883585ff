//! Which API a path leads to.
//!
//! The longest path that a request's path begins with wins. The paths are sorted, and each knows the
//! longest other one that it begins with: whatever leads to a request's path is the last one that
//! sorts before it, or in the line of those which that one begins with.

/// Paths and where they lead.
#[derive(Debug)]
pub struct Routes<T> {
    /// Sorted by path.
    entries: Vec<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    path: String,
    /// The place of the longest other path that this one begins with.
    shorter: Option<usize>,
    leads_to: T,
}

/// A route that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a, T> {
    /// Where it leads.
    pub leads_to: &'a T,
    /// What the request's path begins with.
    pub path: &'a str,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T: Clone> Routes<T> {
    /// The routes of APIs, each with its listen path and its id. `/ID/` leads to an API too, unless it
    /// is a listen path. Of two APIs with one listen path the later gets `-ID` appended to its own.
    pub fn new<'a>(apis: impl IntoIterator<Item = (&'a str, &'a str, T)>) -> Self {
        let mut all: Vec<(String, &str, T)> = Vec::new();
        for (listen_path, id, api) in apis {
            let mut path = listen_path.to_owned();
            while all.iter().any(|(taken, ..)| *taken == path) {
                path = format!("{path}-{id}");
            }
            all.push((path, id, api));
        }
        let by_id: Vec<_> =
            all.iter().map(|(_, id, api)| (format!("/{id}/"), api.clone())).collect();
        let mut entries: Vec<_> = all.into_iter().map(|(path, _, api)| (path, api)).collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (path, api) in by_id {
            if let Err(place) = entries.binary_search_by(|(taken, _)| taken.cmp(&path)) {
                entries.insert(place, (path, api));
            }
        }
        let mut routes = Self { entries: Vec::with_capacity(entries.len()) };
        for (path, leads_to) in entries {
            let shorter = routes.last_in(routes.entries.len().checked_sub(1), &path);
            routes.entries.push(Entry { path, shorter, leads_to });
        }
        routes
    }
}

impl<T> Routes<T> {
    /// Where `path` leads.
    pub fn find(&self, path: &str) -> Option<Found<'_, T>> {
        let after = self.entries.partition_point(|entry| entry.path.as_str() <= path);
        let entry = &self.entries[self.last_in(after.checked_sub(1), path)?];
        Some(Found { leads_to: &entry.leads_to, path: &entry.path })
    }

    /// Where all of them lead, sorted by path; an API with two paths is there twice.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries.iter().map(|entry| (entry.path.as_str(), &entry.leads_to))
    }

    /// The first in the line that begins at `place` which `path` begins with.
    fn last_in(&self, mut place: Option<usize>, path: &str) -> Option<usize> {
        while let Some(at) = place {
            let entry = &self.entries[at];
            if path.starts_with(&entry.path) {
                return place;
            }
            place = entry.shorter;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn routes(apis: &[(&'static str, &'static str)]) -> Routes<&'static str> {
        Routes::new(apis.iter().map(|(path, id)| (*path, *id, *id)))
    }

    fn to<'a>(routes: &Routes<&'a str>, path: &str) -> Option<&'a str> {
        routes.find(path).map(|found| *found.leads_to)
    }

    #[test]
    fn the_longest_listen_path_wins() {
        let routes = routes(&[("/", "all"), ("/a/", "a"), ("/a/b/", "ab"), ("/a/bc/", "abc")]);
        for (path, id) in [
            ("/", "all"),
            ("/x", "all"),
            ("/a", "all"),
            ("/a/", "a"),
            ("/a/b", "a"),
            ("/a/b/", "ab"),
            ("/a/b/c", "ab"),
            ("/a/bb/", "a"),
            ("/a/bc/d", "abc"),
            ("/a/z", "a"),
        ] {
            assert_eq!(to(&routes, path), Some(id), "{path}");
        }
    }

    #[test]
    fn an_id_leads_to_its_api_and_nothing_else_leads_anywhere() {
        let routes = routes(&[("/orders/", "o1"), ("/o2/", "o3"), ("/x/", "o2")]);
        assert_eq!(to(&routes, "/o1/7"), Some("o1"));
        assert_eq!(routes.find("/o1/7").unwrap().path, "/o1/");
        assert_eq!(to(&routes, "/o2/7"), Some("o3"));
        for path in ["/", "/orders", "/o1", "*", ""] {
            assert_eq!(to(&routes, path), None, "{path}");
        }
    }

    #[test]
    fn a_second_api_with_the_same_path_gets_its_id_appended() {
        let routes = routes(&[("/a/", "one"), ("/a/", "two"), ("/a/", "two")]);
        assert_eq!(to(&routes, "/a/x"), Some("one"));
        assert_eq!(routes.find("/a/-two/x").unwrap().path, "/a/-two");
        assert_eq!(routes.find("/a/-two-two").unwrap().path, "/a/-two-two");
    }

    proptest! {
        #[test]
        fn as_a_search_through_all_of_them(
            paths in proptest::collection::vec("/[ab/]{0,5}", 0..12),
            asked in "/[ab/]{0,8}",
        ) {
            // Ids that no path is like.
            let ids: Vec<_> = (0..paths.len()).map(|number| format!("id{number}")).collect();
            let routes = Routes::new(
                paths.iter().zip(&ids).enumerate().map(|(n, (path, id))| (path.as_str(), id.as_str(), n)),
            );
            let expected = routes
                .iter()
                .filter(|(path, _)| asked.starts_with(path))
                .max_by_key(|(path, _)| path.len());
            let found = routes.find(&asked).map(|found| (found.path, found.leads_to));
            prop_assert_eq!(found, expected);
        }
    }
}
