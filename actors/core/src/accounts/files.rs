//! Users and groups out of `/etc/passwd` and `/etc/group`, as passwd(5) and group(5) describe them.

use std::ffi::CString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User};

/// The files are read anew each time, as the C library does, so that a user who was added is found.
const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// The text of a file; none is an empty one, as in an image without users.
fn read(path: &str) -> nix::Result<String> {
    match fs::read(Path::new(path)) {
        // A comment field may be in any encoding, and nobody asks for it.
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
    }
}

pub(super) fn user_of_name(name: &str) -> nix::Result<Option<User>> {
    Ok(users(&read(PASSWD)?).find(|user| user.name == name))
}

pub(super) fn user_of_number(uid: Uid) -> nix::Result<Option<User>> {
    Ok(users(&read(PASSWD)?).find(|user| user.uid == uid))
}

pub(super) fn group_of_name(name: &str) -> nix::Result<Option<Group>> {
    Ok(groups(&read(GROUP)?).find(|group| group.name == name))
}

pub(super) fn group_of_number(gid: Gid) -> nix::Result<Option<Group>> {
    Ok(groups(&read(GROUP)?).find(|group| group.gid == gid))
}

pub(super) fn groups_of(user: &User, gid: Gid) -> nix::Result<Vec<Gid>> {
    Ok(memberships(&read(GROUP)?, &user.name, gid))
}

/// `gid`, and each group that lists `name`, in the order of the file.
fn memberships(text: &str, name: &str, gid: Gid) -> Vec<Gid> {
    let mut found = vec![gid];
    for group in groups(text).filter(|group| group.mem.iter().any(|member| member == name)) {
        if !found.contains(&group.gid) {
            found.push(group.gid);
        }
    }
    found
}

/// What is a line of `fields` fields; comments, blank lines and what is for NIS (`+`, `-`) are none.
fn entries(text: &str, fields: usize) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter(|line| !line.starts_with(['#', '+', '-']));
    lines.map(|line| line.split(':').collect::<Vec<_>>()).filter(move |line| line.len() == fields)
}

fn users(text: &str) -> impl Iterator<Item = User> {
    entries(text, 7).filter_map(|line| {
        Some(User {
            name: line[0].to_owned(),
            passwd: CString::default(),
            uid: Uid::from_raw(line[2].parse().ok()?),
            gid: Gid::from_raw(line[3].parse().ok()?),
            gecos: CString::default(),
            dir: PathBuf::from(line[5]),
            shell: PathBuf::from(line[6]),
        })
    })
}

fn groups(text: &str) -> impl Iterator<Item = Group> {
    entries(text, 4).filter_map(|line| {
        let members = line[3].split(',').filter(|name| !name.is_empty());
        Some(Group {
            name: line[0].to_owned(),
            passwd: CString::default(),
            gid: Gid::from_raw(line[2].parse().ok()?),
            mem: members.map(str::to_owned).collect(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\n\
        # nobody:x:1:1::/:/bin/false\n\
        \n\
        +nis::::::\n\
        broken:x:one:1::/:/bin/sh\n\
        short:x:5:5\n\
        web:x:33:44:Web, of all:/var/www:/usr/sbin/nologin\n\
        web:x:34:44:again:/:/bin/sh\n";

    const GROUPS: &str =
        "root:x:0:\nweb:x:44:\nlogs:x:50:web,root\nagain:x:44:web\nvideo:x:60:web\n";

    #[test]
    fn the_first_line_of_a_name_counts_and_broken_lines_do_not() {
        let all: Vec<_> = users(USERS).map(|user| (user.name, user.uid.as_raw())).collect();
        let named = |name: &str, uid| (name.to_owned(), uid);
        assert_eq!(all, [named("root", 0), named("web", 33), named("web", 34)]);
        let web = users(USERS).find(|user| user.name == "web").unwrap();
        assert_eq!(web.gid, Gid::from_raw(44));
        assert_eq!((web.dir, web.shell), ("/var/www".into(), "/usr/sbin/nologin".into()));
    }

    #[test]
    fn groups_of_a_user_are_its_own_and_those_that_list_it() {
        let found = memberships(GROUPS, "web", Gid::from_raw(44));
        assert_eq!(found, [44, 50, 60].map(Gid::from_raw));
        assert_eq!(memberships(GROUPS, "nobody", Gid::from_raw(9)), [Gid::from_raw(9)]);
    }

    /// Where only the files are asked (`getent` might ask others), both ways agree on this machine.
    #[test]
    fn they_say_what_the_c_library_says() {
        for user in users(&read(PASSWD).unwrap()) {
            let theirs = User::from_name(&user.name).unwrap().unwrap();
            let ours = user_of_name(&user.name).unwrap().unwrap();
            assert_eq!((ours.uid, ours.gid), (theirs.uid, theirs.gid), "{}", user.name);
            assert_eq!((ours.dir, ours.shell), (theirs.dir, theirs.shell), "{}", user.name);
            let name = CString::new(user.name.as_str()).unwrap();
            let mut theirs = nix::unistd::getgrouplist(&name, user.gid).unwrap();
            let mut ours = groups_of(&user, user.gid).unwrap();
            theirs.sort_by_key(|gid| gid.as_raw());
            ours.sort_by_key(|gid| gid.as_raw());
            assert_eq!(ours, theirs, "{}", user.name);
        }
        assert_eq!(group_of_name("root").unwrap().unwrap().gid, Gid::from_raw(0));
        assert_eq!(group_of_number(Gid::from_raw(0)).unwrap().unwrap().name, "root");
        assert_eq!(user_of_number(Uid::from_raw(0)).unwrap().unwrap().name, "root");
    }
}
