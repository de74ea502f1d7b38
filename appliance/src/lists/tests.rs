//! Lists over time: fetched, kept, changed, refused, and handed to the packet thread.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use traffic::decode::dns::question;

use super::fixture::{Server, answer};
use super::*;
use crate::store::small_disk::on_a_small_disk;
use crate::store::test_directory::TestDirectory;

const DAY: Duration = Duration::from_secs(86_400);

const PAGE: &str = "<!DOCTYPE html>\n<html>\n<body>\n<h1>Not found</h1>\n</body>\n</html>\n";

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration with one list.
fn config(state_dir: &Path, source: &str) -> Config {
    let text = format!(
        "state_dir = \"{}\"\n[[lists]]\nname = \"known\"\n{source}\nclass = \"botnet\"\nconfidence = 0.9\n",
        state_dir.display()
    );
    Config::parse(&text, Path::new("sluice.toml")).unwrap()
}

fn web(state_dir: &Path, server: &Server) -> Config {
    config(state_dir, &format!("url = \"{}\"", server.url()))
}

/// `evil.example` and an address are on the list in use, or not.
fn holds_evil(lists: &Lists) -> (bool, bool) {
    let query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x04evil\x07example\0\0\x01\0\x01";
    let rulebook = lists.rulebook();
    let name = rulebook.listed_name(question(query).unwrap()).is_some();
    let (listed, other) = ("203.0.113.9".parse().unwrap(), "203.0.113.10".parse().unwrap());
    (name, rulebook.listed(listed, other).is_some())
}

fn faults(lists: &Lists) -> Vec<String> {
    lists.faults(clock::now())
}

#[test]
fn what_was_fetched_is_used_and_is_there_after_a_restart_without_the_server() {
    let directory = TestDirectory::new("lists-web");
    let server = Server::start(vec![answer("200 OK", "ETag: \"1\"\r\n", "203.0.113.9\n||evil.example^\n")]);
    let config = web(directory.path(), &server);
    let mut lists = Lists::load(&config);
    assert_eq!(holds_evil(&lists), (false, false));
    let told = faults(&lists).concat();
    assert!(
        told.starts_with("the list \"known\" is not used yet: nothing was fetched from http://127.0.0.1:"),
        "{told}"
    );
    assert!(lists.summaries(clock::now()).concat().ends_with("every 86400 s; there is no copy on the disk yet"));
    assert!(lists.look(Duration::ZERO));
    assert_eq!((holds_evil(&lists), faults(&lists)), ((true, true), vec![]));
    assert!(!lists.look(DAY - Duration::from_secs(1)), "it is not due");

    let mut again = Lists::load(&config);
    assert_eq!((holds_evil(&again), faults(&again)), ((true, true), vec![]));
    let told = again.summaries(clock::now()).concat();
    assert!(told.starts_with("list \"known\": 1 addresses and networks, 1 domains from http://127.0.0.1:"), "{told}");
    assert!(told.ends_with(".list is 0 hours old"), "{told}");
    // The server is gone: that is no fault before the list is old.
    assert!(!again.look(Duration::ZERO));
    assert_eq!((holds_evil(&again), faults(&again)), ((true, true), vec![]));
    let told = again.faults(clock::now().plus(DAY * 2 + Duration::from_secs(3_600))).concat();
    assert!(told.starts_with("the list \"known\" is 49 hours old, and still used: http://127.0.0.1:"), "{told}");
    assert!(told.ends_with("it is tried again and again: is the box online, is the `url` right?"), "{told}");
}

#[test]
fn a_list_that_changes_takes_effect_and_one_that_does_not_is_left() {
    let directory = TestDirectory::new("lists-change");
    let server = Server::start(vec![
        answer("200 OK", "ETag: \"1\"\r\n", "evil.example\n"),
        answer("304 Not Modified", "", ""),
        answer("200 OK", "ETag: \"2\"\r\n", "203.0.113.9\n"),
    ]);
    let mut lists = Lists::load(&web(directory.path(), &server));
    for (day, changed, holds) in [(0, true, (true, false)), (2, false, (true, false)), (4, true, (false, true))] {
        assert_eq!(lists.look(DAY * day), changed, "day {day}");
        assert_eq!(holds_evil(&lists), holds, "day {day}");
    }
    let marks: Vec<bool> = server.requests().iter().map(|head| head.contains("if-none-match: \"1\"")).collect();
    assert_eq!(marks, [false, true, true]);
}

#[test]
fn a_copy_that_was_removed_is_fetched_again_whole() {
    let directory = TestDirectory::new("lists-removed");
    let server = Server::start(vec![answer("200 OK", "ETag: \"1\"\r\n", "evil.example\n"); 2]);
    let mut lists = Lists::load(&web(directory.path(), &server));
    assert!(lists.look(Duration::ZERO));
    let copy = lists.all[0].copy().unwrap();
    fs::remove_file(&copy).unwrap();
    assert!(lists.look(DAY * 2) && copy.exists());
    assert!(!server.requests()[1].contains("if-none-match"));
}

#[test]
fn the_marks_of_one_copy_are_never_sent_for_another() {
    let directory = TestDirectory::new("lists-marks");
    let answers = [("1", "evil.example\n"), ("2", "203.0.113.9\n"), ("1", "evil.example\n"), ("1", "evil.example\n")];
    let answers = answers.map(|(mark, text)| answer("200 OK", &format!("ETag: \"{mark}\"\r\n"), text));
    let server = Server::start(answers.to_vec());
    let config = web(directory.path(), &server);
    let mut lists = Lists::load(&config);
    assert!(lists.look(Duration::ZERO));
    let copy = lists.all[0].copy().unwrap();
    // The second copy cannot take its place.
    fs::remove_file(&copy).unwrap();
    fs::create_dir(&copy).unwrap();
    assert!(!lists.look(DAY * 2));
    assert!(faults(&lists).concat().contains("cannot be written to the disk"), "{:?}", faults(&lists));
    // It is there all the same, as where the disk failed after that, or the box lost its power.
    fs::remove_dir(&copy).unwrap();
    fs::write(&copy, "203.0.113.9\n").unwrap();
    let mut again = Lists::load(&config);
    assert_eq!(holds_evil(&again), (false, true));
    for lists in [&mut lists, &mut again] {
        assert!(lists.look(DAY * 4));
        assert_eq!(holds_evil(lists), (true, false));
    }
    let marks: Vec<bool> = server.requests().iter().map(|head| head.contains("if-none-match")).collect();
    assert_eq!(marks, [false, true, false, false]);
}

#[test]
fn an_answer_that_is_no_list_replaces_nothing() {
    let directory = TestDirectory::new("lists-absurd");
    let good = answer("200 OK", "", "evil.example\n");
    let server = Server::start(vec![
        answer("200 OK", "", PAGE),
        good,
        answer("200 OK", "", PAGE),
        answer("200 OK", "", ""),
        answer("500 Internal Server Error", "", "203.0.113.9\n"),
    ]);
    let config = web(directory.path(), &server);
    let mut lists = Lists::load(&config);
    assert!(!lists.look(Duration::ZERO));
    let told = faults(&lists).concat();
    assert!(told.starts_with("the list \"known\" is not used: http://127.0.0.1:"), "{told}");
    assert!(told.contains("what it answered is no list: there is no address and no domain in it"), "{told}");
    for day in 1..5 {
        assert_eq!(lists.look(DAY * 2 * day), day == 1, "answer {day}");
        assert_eq!((holds_evil(&lists), faults(&lists)), ((true, false), vec![]), "answer {day}");
    }
    assert_eq!(holds_evil(&Lists::load(&config)), (true, false), "on the disk too");
}

#[test]
fn a_file_is_read_again_once_nobody_writes_into_it_any_more() {
    let directory = TestDirectory::new("lists-file");
    let file = directory.path().join("list.txt");
    let mut lists = Lists::load(&config(directory.path(), &format!("path = \"{}\"", file.display())));
    let told = format!(
        "the list \"known\" is not used: {}: No such file or directory (os error 2); put the file there, it is read within a \
         minute",
        file.display()
    );
    assert_eq!(faults(&lists), [told]);
    fs::write(&file, "evil.example\n").unwrap();
    assert!(!lists.look(Duration::ZERO), "somebody may be writing it");
    assert!(lists.look(Duration::ZERO));
    assert_eq!((holds_evil(&lists), faults(&lists)), ((true, false), vec![]));
    assert!(!lists.look(Duration::ZERO) && !lists.look(Duration::ZERO), "it is as it was");

    fs::write(&file, "203.0.113.9\nnonsense\n").unwrap();
    assert_eq!([lists.look(Duration::ZERO), lists.look(Duration::ZERO)], [false, true]);
    assert_eq!(holds_evil(&lists), (false, true));
    let told = faults(&lists).concat();
    assert!(told.ends_with("list.txt: 1 entries are neither an address, nor a network of fair size, nor a domain (line 2); correct them; the others are used"), "{told}");

    fs::remove_file(&file).unwrap();
    assert_eq!([lists.look(Duration::ZERO), lists.look(Duration::ZERO)], [false, false]);
    assert_eq!(holds_evil(&lists), (false, true), "what was read is used on");
    assert!(faults(&lists).concat().contains("is still used as it was: "), "{:?}", faults(&lists));
}

#[test]
fn what_is_no_plain_file_is_not_waited_for() {
    let directory = TestDirectory::new("lists-pipe");
    let socket = directory.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    for path in [Path::new("/dev/zero"), &socket, directory.path()] {
        let lists = Lists::load(&config(directory.path(), &format!("path = \"{}\"", path.display())));
        assert!(faults(&lists).concat().contains("no plain file of 32 MiB at most"), "{:?}", faults(&lists));
        assert!(!lists.rulebook().rules.is_empty(), "the rules hold all the same");
    }
}

#[test]
fn a_full_disk_leaves_the_copy_and_is_shown() {
    on_a_small_disk("lists::tests::a_full_disk_leaves_the_copy_and_is_shown", 64, leaves_the_copy_and_is_shown);
}

fn leaves_the_copy_and_is_shown(disk: &Path) {
    let server = Server::start(vec![
        answer("200 OK", "", "evil.example\n"),
        answer("200 OK", "", &"203.0.113.9\n".repeat(20_000)),
        answer("200 OK", "", "203.0.113.9\n"),
    ]);
    let config = web(disk, &server);
    let mut lists = Lists::load(&config);
    assert!(lists.look(Duration::ZERO) && !lists.look(DAY * 2));
    let told = faults(&lists).concat();
    assert!(told.starts_with("the list \"known\" cannot be written to the disk, the one before is used: "), "{told}");
    assert!(told.contains("No space left") && told.ends_with("; make room there"), "{told}");
    assert_eq!((holds_evil(&lists), holds_evil(&Lists::load(&config))), ((true, false), (true, false)));
    // Nothing is left of what did not fit.
    assert!(lists.look(DAY * 4));
    assert_eq!((holds_evil(&lists), faults(&lists)), ((false, true), vec![]));
}

#[test]
fn whoever_used_the_last_rulebook_frees_nothing_of_it() {
    let directory = TestDirectory::new("lists-keep");
    let server = Server::start(vec![answer("200 OK", "", "evil.example\n")]);
    let lists = Lists::load(&web(directory.path(), &server));
    let first = Arc::new(lists.rulebook());
    let watched = Arc::downgrade(&first);
    let (rulebooks, next) = sync_channel(1);
    let (in_force, gauges) = (Arc::clone(&first), Arc::new(Gauges::default()));
    let (others, next_lists) = sync_channel(1);
    std::thread::spawn({
        let gauges = Arc::clone(&gauges);
        // It ends with the test: nobody takes another rulebook.
        move || lists.keep(in_force, &rulebooks, &gauges, &next_lists)
    });
    let second = next.recv_timeout(PATIENCE).unwrap();
    assert_eq!((first.lists.len(), second.lists.len()), (0, 1));
    assert!(gauges.list_faults.get().is_empty(), "{:?}", gauges.list_faults.get());
    assert!(watched.strong_count() >= 2, "the thread holds it as long as somebody else does");
    drop(first);
    let stopwatch = Stopwatch::start();
    while watched.strong_count() > 0 {
        assert!(stopwatch.elapsed() < PATIENCE, "nobody has freed the first rulebook");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Others take their place at once. What was fetched stays, though the server has nothing more to give.
    let third = Arc::new(Rulebook::default());
    let watched = Arc::downgrade(&third);
    let lists = Lists::load(&web(directory.path(), &server));
    others.send(Others { lists, handed: vec![third] }).unwrap();
    let fourth = next.recv_timeout(PATIENCE).unwrap();
    assert!(fourth.lists.len() == 1 && Arc::ptr_eq(&fourth.lists[0], &second.lists[0]));
    let none = Config::parse("", Path::new("sluice.toml")).unwrap();
    others.send(Others { lists: Lists::load(&none), handed: Vec::new() }).unwrap();
    assert!(next.recv_timeout(PATIENCE).unwrap().lists.is_empty() && watched.strong_count() == 0);
}
