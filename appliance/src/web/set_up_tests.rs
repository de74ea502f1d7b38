//! The first password through real sockets.

use super::Client;
use super::fixture::{PASSWORD, Page, open_page};

/// What `sluice status` shows on the box.
fn setup_code(page: &Page) -> Option<String> {
    let state = Client::new(&page.directory.path().join("run/sluice.sock")).state().unwrap();
    state.events.unwrap().setup_code
}

#[test]
fn who_knows_the_set_up_code_sets_the_first_password_and_nobody_else() {
    let page = open_page("set-up");
    let code = setup_code(&page).unwrap();
    for path in ["/", "/api/state", "/?setup=refused", "/setup"] {
        let answer = page.get(path, "");
        assert!(!answer.body.contains(&code) && !answer.head.contains(&code), "{path} shows it");
    }
    let body = page.get("/", "").body;
    assert!(body.contains("action=\"/setup\"") && !body.contains("action=\"/login\""));
    assert!(body.contains("sluice passwd") && body.contains("sluice status"));
    let form = |code: &str| format!("code={code}&name=eve&password=correct+horse&again=correct+horse");
    let refused = page.post_form("/setup", "", &form("aaaa-aaaa"));
    assert_eq!((refused.header("location"), refused.header("set-cookie")), (Some("/?setup=refused"), None));
    assert!(page.get("/?setup=refused", "").body.contains("That is not the set-up code."));
    assert_eq!(page.post_form("/login", "", "name=admin&password=").header("location"), Some("/?login=refused"));
    assert!(!page.store.has_users().unwrap());

    let done = page.post_form("/setup", "", &form(&code.to_uppercase()));
    assert_eq!((done.status, done.header("location")), (303, Some("/")));
    let cookie = done.header("set-cookie").unwrap().split(';').next().unwrap();
    assert!(page.get("/", cookie).body.contains("203.0.113.77"), "it logs in");
    assert_eq!((page.store.check_password("admin", PASSWORD).unwrap(), setup_code(&page)), (true, None));
    assert!(page.get("/", "").body.contains("action=\"/login\""));
    let late = format!("code={code}&password=battery+staple&again=battery+staple");
    assert_eq!(page.post_form("/setup", "", &late).header("location"), Some("/?setup=over"));
    assert!(page.get("/?setup=over", "").body.contains("A password is set already"));
    assert!(page.store.check_password("admin", PASSWORD).unwrap(), "it stays");
    let audit = page.audit();
    assert_eq!(
        audit,
        [
            "127.0.0.1 was refused a set-up code",
            r#"127.0.0.1 was refused a log-in as "admin""#,
            "127.0.0.1 set the first password of user admin, with the set-up code",
            "admin logged in from 127.0.0.1",
        ]
    );
}

#[test]
fn another_page_cannot_send_the_set_up_form_and_no_other_type_is_taken() {
    let page = open_page("set-up-csrf");
    let body = format!("code={}&password=correct+horse&again=correct+horse", setup_code(&page).unwrap());
    let form_type = "Content-Type: application/x-www-form-urlencoded\r\n";
    let other = format!("Origin: http://evil.example\r\n{form_type}");
    assert_eq!(page.post("/setup", "", &other, &body).status, 403);
    assert_eq!(page.post("/setup", "", "Content-Type: text/plain\r\n", &body).status, 415);
    assert_eq!(page.get(&format!("/setup?{body}"), "").header("location"), Some("/"));
    assert!(!page.store.has_users().unwrap());
}
