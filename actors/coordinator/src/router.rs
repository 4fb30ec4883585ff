//! Who gets a request: which sockets of a task's folder there are to ask, in which order, and when
//! the next one may be asked. Pure.

use std::cmp::Ordering;

/// What requesters are told where nobody answers for a task.
pub const NO_PROVIDERS: &str = "no providers available for task";
/// The longest name of a task or a service, in bytes.
pub const MAX_NAME: usize = 128;
/// The folders below the socket directory that are no tasks.
pub const RESERVED: [&str; 3] = ["coordinator", "response", "streams"];

/// How priorities compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As whole numbers: 9 before 10.
    #[default]
    Number,
    /// As texts, as the original did: 10 before 9.
    Text,
}

/// Whether a name can be that of a task or a service: one component of a path, and no hidden one.
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// Whether a name can be that of a task.
pub fn is_task(name: &str) -> bool {
    is_name(name) && !RESERVED.contains(&name)
}

/// The priority in the name of a provider's socket, `PRIORITY-SERVICE.sock`, and the rest of it.
pub fn priority(name: &str) -> Option<(i64, &str)> {
    // The first character may be a sign.
    let end = name.char_indices().skip(1).find(|(_, letter)| *letter == '-')?.0;
    let (number, rest) = name.split_at(end);
    let digits = number.strip_prefix('-').unwrap_or(number);
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok());
    Some((number??, &rest[1..]))
}

/// Puts the names of a folder's sockets in the order in which they are asked, without hidden ones.
pub fn arrange(names: &mut Vec<String>, order: Order) {
    names.retain(|name| !name.starts_with('.'));
    match order {
        Order::Text => names.sort(),
        Order::Number => names.sort_by(|a, b| by_number(a, b)),
    }
}

/// How many of the arranged names have the priority of the one at `first`, which may take turns.
pub fn equals(names: &[String], first: usize) -> usize {
    let of = |name: &String| priority(name).map(|(number, _)| number);
    let number = names.get(first).map(of);
    names[first..].iter().take_while(|name| Some(of(name)) == number).count()
}

/// Whether the two orders of these names differ, which users of the original should know.
pub fn orders_differ(names: &[String]) -> bool {
    let (mut numbers, mut texts) = (names.to_vec(), names.to_vec());
    arrange(&mut numbers, Order::Number);
    arrange(&mut texts, Order::Text);
    numbers != texts
}

fn by_number(a: &str, b: &str) -> Ordering {
    match (priority(a), priority(b)) {
        (Some((first, _)), Some((second, _))) => first.cmp(&second).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// What came of asking one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It took the request.
    Taken,
    /// It said that it will not.
    Refused(String),
    /// It heard nothing.
    Unheard(String),
    /// It may have begun, and nobody knows.
    Unclear(String),
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the next one; this is why, if there is no other.
    Next(String),
    /// That is the answer.
    Done(Result<(), String>),
}

/// Whether another provider may be asked: only where nothing can have run.
pub fn step(asked: Asked) -> Step {
    match asked {
        Asked::Taken => Step::Done(Ok(())),
        Asked::Refused(why) | Asked::Unheard(why) => Step::Next(why),
        Asked::Unclear(why) => Step::Done(Err(why)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arranged(names: &[&str], order: Order) -> Vec<String> {
        let mut names = names.iter().map(|name| (*name).to_owned()).collect();
        arrange(&mut names, order);
        names
    }

    #[test]
    fn k12_priorities_compare_as_numbers_or_as_texts_on_request() {
        let names = ["test", "100-d", "10-b", ".hid", "9-e", "50-c", "5-a", "-3-z", "Z"];
        let numbers = ["-3-z", "5-a", "9-e", "10-b", "50-c", "100-d", "Z", "test"];
        assert_eq!(arranged(&names, Order::Number), numbers);
        let texts = ["-3-z", "10-b", "100-d", "5-a", "50-c", "9-e", "Z", "test"];
        assert_eq!(arranged(&names, Order::Text), texts);
        assert!(orders_differ(&["5-a".into(), "10-b".into()]));
        assert!(!orders_differ(&["05-a".into(), "10-b".into()]));
    }

    #[test]
    fn priorities() {
        assert_eq!(priority("50-a.sock"), Some((50, "a.sock")));
        assert_eq!(priority("-3-a-b"), Some((-3, "a-b")));
        for name in ["a.sock", "-a", "--3-a", "5", "", "é-a", "99999999999999999999-a", "1 -a"] {
            assert_eq!(priority(name), None, "{name}");
        }
        let names = arranged(&["1-a", "1-b", "2-c", "x", "y"], Order::Number);
        assert_eq!((equals(&names, 0), equals(&names, 2), equals(&names, 3)), (2, 1, 2));
    }

    #[test]
    fn k02_k03_names_are_one_component_and_not_reserved() {
        for name in ["../x", "/x", "ord/../foo", ".", "..", "", ".x", "a/b", "a\0b", "streams"] {
            assert!(!is_task(name), "{name:?}");
        }
        assert!(!is_task("coordinator") && !is_task("response"));
        assert!(!is_task(&"x".repeat(129)) && is_task(&"x".repeat(128)));
        assert!(is_task("CPUInfo") && is_task("a b") && is_name("response"));
    }

    #[test]
    fn k08_the_next_is_asked_only_where_nothing_can_have_run() {
        let why = || "why".to_owned();
        assert_eq!(step(Asked::Refused(why())), Step::Next(why()));
        assert_eq!(step(Asked::Unheard(why())), Step::Next(why()));
        assert_eq!(step(Asked::Unclear(why())), Step::Done(Err(why())));
        assert_eq!(step(Asked::Taken), Step::Done(Ok(())));
    }

    proptest! {
        #[test]
        fn every_name_is_asked_once_and_the_order_does_not_depend_on_the_listing(
            names in prop::collection::btree_set("-?[0-9]{0,4}-?[a-z.]{0,3}", 0..20),
        ) {
            let mut one: Vec<String> = names.iter().cloned().collect();
            let mut other: Vec<String> = names.iter().rev().cloned().collect();
            arrange(&mut one, Order::Number);
            arrange(&mut other, Order::Number);
            prop_assert_eq!(&one, &other);
            let shown = names.iter().filter(|name| !name.starts_with('.')).count();
            prop_assert_eq!(one.len(), shown);
        }
    }
}
