//! The first password of the page: set by who can read the box's set-up code, or by root on the box; by nobody else.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lab::daemon::{Config, Daemon, sluice_program};
use lab::network::{BOX, Network};
use lab::process::{Finished, SHORT, run_any, run_within, wait_until};

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer of the page to the household, head and body; what is posted is a form.
fn page(network: &Network, path: &str, cookie: &str, form: Option<&str>) -> String {
    let mut command = network.lan.command("curl");
    command.args(["-s", "-S", "-m", "10", "-D", "-", "-b", cookie]);
    if let Some(form) = form {
        command.args(["-d", form]);
    }
    run_within(command.arg(format!("http://{BOX}:8080{path}")), SHORT).unwrap()
}

fn setup_code(daemon: &Daemon<'_>) -> Option<String> {
    daemon.status().unwrap()["setup_code"].as_str().map(str::to_owned)
}

fn start(network: &Network) -> Daemon<'_> {
    let daemon = Daemon::start(network, &Config::default()).unwrap();
    wait_until_the_page_answers(network);
    daemon
}

fn wait_until_the_page_answers(network: &Network) {
    let line = format!("curl -s --fail -m 5 -o /dev/null http://{BOX}:8080/");
    wait_until("the page answers", PATIENCE, || network.lan.run_within(&line, SHORT).is_ok()).unwrap();
}

/// Whether a file in the folder or below holds the text.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, text);
        }
        fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
    })
}

#[test]
fn the_set_up_code_of_the_box_sets_the_first_password_once() {
    let network = Network::new().unwrap();
    let mut daemon = start(&network);
    let code = setup_code(&daemon).unwrap();
    let told = format!("its set-up code is {code}\n");
    assert!(daemon.log().contains(&told), "{}", daemon.log());
    assert!(daemon.command(&["status"]).unwrap().stdout.contains(&told));
    for path in ["/", "/api/state", "/setup", "/login"] {
        assert!(!page(&network, path, "", None).contains(&code), "{path} tells it strangers");
    }
    assert!(!holds(daemon.config_file().parent().unwrap(), &code), "it is in memory alone");

    // A start without a password has another one.
    daemon.stop().unwrap();
    daemon.start_again().unwrap();
    wait_until_the_page_answers(&network);
    let form = |code: &str, password: &str| format!("code={code}&password={password}&again={password}");
    assert!(page(&network, "/setup", "", Some(&form(&code, "battery+staple"))).contains("/?setup=refused"));
    let code = setup_code(&daemon).unwrap();
    let done = page(&network, "/setup", "", Some(&form(&code, "correct+horse")));
    assert!(done.contains("303 ") && done.lines().any(|line| line.eq_ignore_ascii_case("location: /")), "{done}");
    let cookie = done.lines().find_map(|line| line.split_once("sluice_session=")).unwrap().1;
    let cookie = format!("sluice_session={}", cookie.split(';').next().unwrap());
    let shown = page(&network, "/", &cookie, None);
    assert!(shown.contains("data-user=\"admin\"") && shown.contains("Nobody is blocked."), "{shown}");

    for _ in 0..2 {
        assert_eq!(setup_code(&daemon), None);
        assert!(page(&network, "/setup", "", Some(&form(&code, "battery+staple"))).contains("/?setup=over"));
        let stranger = page(&network, "/", "", None);
        assert!(stranger.contains("action=\"/login\"") && !stranger.contains("action=\"/setup\""), "{stranger}");
        assert!(page(&network, "/login", "", Some("name=admin&password=correct+horse")).contains("sluice_session="));
        daemon.stop().unwrap();
        daemon.start_again().unwrap();
        wait_until_the_page_answers(&network);
    }
    assert!(!daemon.log().contains("set-up code"), "{}", daemon.log());
    let audit = daemon.command(&["audit"]).unwrap().stdout;
    assert!(audit.contains("set the first password of user admin, with the set-up code"), "{audit}");
    assert!(audit.contains("was refused a set-up code"), "{audit}");
    assert!(daemon.command(&["audit", "verify"]).unwrap().success());
}

#[test]
fn a_password_that_root_sets_ends_the_set_up_code() {
    let network = Network::new().unwrap();
    let daemon = start(&network);
    let code = setup_code(&daemon).unwrap();
    daemon.set_password("correct horse").unwrap();
    assert_eq!(setup_code(&daemon), None);
    let form = format!("code={code}&password=battery+staple&again=battery+staple");
    assert!(page(&network, "/setup", "", Some(&form)).contains("/?setup=over"));
    assert!(page(&network, "/login", "", Some("name=admin&password=correct+horse")).contains("sluice_session="));
}

/// `echo PASSWORD | sluice passwd …`: what it printed.
fn passwd(network: &Network, daemon: &Daemon<'_>, words: &[&str]) -> Finished {
    let mut command = network.r#box.command("sh");
    command.args(["-c", "echo 'battery staple' | \"$@\"", "sh"]).arg(sluice_program().unwrap());
    run_any(command.args(["passwd", "--config"]).arg(daemon.config_file()).args(words), SHORT).unwrap()
}

#[test]
fn a_mistyped_name_makes_no_user_and_whoever_is_removed_is_logged_out() {
    let network = Network::new().unwrap();
    let daemon = start(&network);
    let first = passwd(&network, &daemon, &[]);
    assert_eq!(first.stdout, "The new user admin may do everything; the password is set.\n", "{}", first.stderr);
    let mistyped = passwd(&network, &daemon, &["amdin"]);
    assert_eq!(mistyped.code(), Some(1));
    assert!(mistyped.stderr.contains("there is no user amdin (there is admin); with --new"), "{}", mistyped.stderr);
    assert!(passwd(&network, &daemon, &["--new", "anna"]).stdout.contains("The new user anna"));
    assert!(passwd(&network, &daemon, &["--new", "anna"]).stderr.contains("there is a user anna already"));
    assert_eq!(passwd(&network, &daemon, &["anna"]).stdout, "The password of anna is set.\n");
    let users = || daemon.command(&["users"]).unwrap().stdout;
    assert!(users().starts_with("admin, ") && users().contains("\nanna, "), "{}", users());

    let answer = page(&network, "/login", "", Some("name=anna&password=battery+staple"));
    let cookie = answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).unwrap().split(';').next().unwrap();
    assert!(page(&network, "/", cookie, None).contains("anna"));
    assert_eq!(passwd(&network, &daemon, &["--remove", "anna"]).stdout, "anna is removed, and logged out.\n");
    assert!(!page(&network, "/", cookie, None).contains("anna"));
    assert!(passwd(&network, &daemon, &["--remove", "admin"]).stderr.contains("admin is the only user"));
    let audit = daemon.command(&["audit"]).unwrap().stdout;
    for told in [
        "local: set the password of user anna, who is new",
        "local: set the password of user anna\n",
        "local: removed the user anna",
    ] {
        assert!(audit.contains(told), "{told:?} is not in {audit}");
    }
}
