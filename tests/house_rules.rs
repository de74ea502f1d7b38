//! Rules of this house that neither the compiler nor clippy keeps. Each failure names file and line.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use lab::cross::root;
use lab::daemon::sluice;
use lab::process::SHORT;

/// Longer files are to be divided.
const MOST_LINES: usize = 600;

/// Folders that hold nothing of ours.
const SKIPPED_FOLDERS: [&str; 3] = ["target", ".git", "captures"];

/// Where unsafe code is allowed: the system calls that have no safe wrapper. The counting allocator of a test is the other place.
const UNSAFE_ALLOWED: [&str; 2] = ["appliance/src/linux/", "appliance/tests/no_allocations.rs"];

/// The one file that reads the clock.
const CLOCK: &str = "appliance/src/clock.rs";

/// A source file: its path from the root of the repository, and its lines.
struct Source {
    path: String,
    lines: Vec<String>,
}

impl Source {
    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    /// `path:line` of each line of code, without its comment, for which the rule is broken.
    fn breaches(&self, broken: impl Fn(&str) -> bool) -> Vec<String> {
        let numbered = self.lines.iter().enumerate();
        let breaches = numbered.filter(|(_, line)| broken(code_of(line)));
        breaches.map(|(number, line)| format!("{}:{}: {}", self.path, number + 1, line.trim())).collect()
    }
}

/// The line without a comment at its end. A string with two slashes loses its end too, which does no harm here.
fn code_of(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// All Rust files of the repository except this one.
fn sources() -> Vec<Source> {
    let mut found = files("rs");
    assert!(found.len() > 20, "the sources are not where they were");
    found.retain(|source| source.path != "tests/house_rules.rs");
    found
}

/// All files of the repository whose name ends so.
fn files(extension: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(root(), extension, &mut found);
    found
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && !SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped) {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            let text = fs::read_to_string(&path).expect("text");
            let path = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            found.push(Source { path, lines: text.lines().map(str::to_owned).collect() });
        }
    }
}

/// Fails with all breaches of a rule.
fn keep(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n{}", breaches.join("\n"));
}

#[test]
fn unsafe_code_stands_only_where_it_is_fenced_in() {
    let others = sources().into_iter().filter(|source| !source.is_in(&UNSAFE_ALLOWED));
    let is_unsafe =
        |code: &str| ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|word| code.contains(word));
    keep(
        "unsafe code outside of appliance/src/linux",
        &others.flat_map(|source| source.breaches(is_unsafe)).collect::<Vec<_>>(),
    );
}

#[test]
fn one_file_reads_the_clock() {
    let others = sources().into_iter().filter(|source| !source.is_in(&[CLOCK]));
    let reads = |code: &str| code.contains("Instant::now") || code.contains("SystemTime::now");
    keep(
        "the clock is read outside of appliance/src/clock.rs",
        &others.flat_map(|source| source.breaches(reads)).collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["TODO", "FIXME", "XXX", "#[ignore"];
    let mut breaches = Vec::new();
    for source in sources() {
        let numbered = source.lines.iter().enumerate();
        let marked = numbered.filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
        breaches.extend(marked.map(|(number, line)| format!("{}:{}: {}", source.path, number + 1, line.trim())));
        breaches.extend(
            source.breaches(|code| ["dbg!(", "todo!(", "unimplemented!("].iter().any(|word| code.contains(word))),
        );
    }
    keep("unfinished work", &breaches);
}

#[test]
fn files_are_short_enough_to_be_read() {
    let long = sources().into_iter().filter(|source| source.lines.len() > MOST_LINES);
    let named: Vec<String> = long.map(|source| format!("{}: {} lines", source.path, source.lines.len())).collect();
    keep("files that are too long", &named);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent =
        sources().into_iter().filter(|source| !source.lines.first().is_some_and(|line| line.starts_with("//!")));
    keep("files without a first line of documentation", &silent.map(|source| source.path).collect::<Vec<_>>());
}

#[test]
fn tests_send_to_addresses_of_documentation_only() {
    let tests = sources().into_iter().filter(|source| source.is_in(&["tests/", "appliance/tests/"]));
    let foreign = |code: &str| addresses(code).any(|address| !is_harmless(address));
    keep("addresses that could be somebody's", &tests.flat_map(|source| source.breaches(foreign)).collect::<Vec<_>>());
}

/// The IPv4 addresses in a line.
fn addresses(code: &str) -> impl Iterator<Item = Ipv4Addr> {
    let words = code.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.filter_map(|word| word.trim_matches('.').parse().ok())
}

/// Addresses for documentation, benchmarks and multicast, loopback, and those that mean none or all.
fn is_harmless(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_documentation()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unspecified()
        || address.is_broadcast()
        || (first == 198 && (18..20).contains(&second))
}

#[test]
fn links_of_documents_lead_to_files_and_headings() {
    let mut breaches = Vec::new();
    for document in files("md") {
        let folder = root().join(&document.path).parent().expect("a folder").to_owned();
        for (number, target) in each_with_its_line(&document, links) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { root().join(&document.path) } else { folder.join(file) };
            if !path.exists() || !heading.is_empty() && !headings(&path).contains(heading) {
                breaches.push(format!("{}:{number}: {target}", document.path));
            }
        }
    }
    keep("links that lead nowhere", &breaches);
}

#[test]
fn documents_name_commands_that_there_are() {
    let help = sluice(&["--help"], SHORT).expect("the program").stdout;
    let listed = help.lines().filter(|line| line.starts_with("  ")).filter_map(|line| line.split_whitespace().next());
    let known: BTreeSet<&str> = listed.collect();
    assert!(known.contains("run") && known.contains("help"), "{help}");
    let (mut breaches, mut named) = (Vec::new(), 0);
    for document in files("md") {
        for (number, command) in each_with_its_line(&document, commands) {
            named += 1;
            if !known.contains(command) {
                breaches.push(format!("{}:{number}: sluice {command}", document.path));
            }
        }
    }
    assert!(named > 50, "the commands are not found any more: {named}");
    keep("commands that `sluice --help` does not know", &breaches);
}

/// What is found in each line of a document, with the number of the line.
fn each_with_its_line<'a>(document: &'a Source, find: impl Fn(&'a str) -> Vec<&'a str>) -> Vec<(usize, &'a str)> {
    let numbered = document.lines.iter().enumerate();
    numbered.flat_map(|(number, line)| find(line).into_iter().map(move |found| (number + 1, found))).collect()
}

/// The targets of the links in a line that lead into the repository: `[text](target)`.
fn links(line: &str) -> Vec<&str> {
    let after = line.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).collect()
}

/// The headings of a document, as links name them: in small letters, without signs, with dashes for spaces.
fn headings(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_matches(['#', ' ']));
    let kept = |c: &char| c.is_alphanumeric() || ['-', '_', ' '].contains(c);
    titles.map(|title| title.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// The words that follow `sluice` where a line is code: between backticks, or indented.
fn commands(line: &str) -> Vec<&str> {
    let code: Vec<&str> =
        if line.starts_with("    ") { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
    let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase()) && !word.contains(['.', '/', '_']);
    let after = |code: &'_ str| code.find("sluice ").filter(|at| *at == 0 || code[..*at].ends_with(' '));
    let words = code.into_iter().filter_map(|code| code[after(code)?..].split_whitespace().nth(1));
    words.map(|word| word.trim_end_matches([',', ';', ')'])).filter(is_word).collect()
}

#[test]
fn the_rules_find_what_they_look_for() {
    let source = Source {
        path: String::from("x.rs"),
        lines: vec![String::from("unsafe { f() } // why"), String::from("// unsafe {")],
    };
    assert_eq!(source.breaches(|code| code.contains("unsafe {")), ["x.rs:1: unsafe { f() } // why"]);
    assert_eq!(addresses("ping 198.51.100.7, then 8.8.8.8.").filter(|address| !is_harmless(*address)).count(), 1);
    assert_eq!(links("see [a](b.md#c), [d](https://e/) and ![f](g.svg)"), ["b.md#c", "g.svg"]);
    assert_eq!(commands("say `sluice fly` or `sudo sluice walk, then` and sluice no"), ["fly", "walk"]);
    assert_eq!(commands("    sluice run        # reads"), ["run"]);
}
