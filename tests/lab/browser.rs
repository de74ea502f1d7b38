//! A browser that somebody sits at: Chromium in a namespace, driven by ChromeDriver as WebDriver says (W3C Recommendation of 2018).
//!
//! It is asked with curl, like all that is asked from inside of a namespace: fantoccini would do the same with 70 crates more, a runtime
//! among them that has to live in the namespace. Chromium gets neither a screen nor a way to its maker's servers.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::cleanup::work_folder;
use crate::namespace::Namespace;
use crate::process::{Running, run_within, try_for, wait_until};

/// Where ChromeDriver listens: every namespace has a loopback of its own.
const DRIVER: &str = "http://127.0.0.1:9515";

/// How long a page, or an element of it, is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the driver may take over an answer: Chromium may start beside much else.
const ANSWER_S: &str = "120";

/// What WebDriver names an element by.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A window; closed when dropped.
pub struct Browser<'a> {
    namespace: &'a Namespace,
    session: String,
    _driver: Running,
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        // Chromium is no child of the driver's process group: it ends when it is told to.
        let _ = self.ask("DELETE", "", None);
    }
}

impl<'a> Browser<'a> {
    /// Opens a window for somebody in the namespace.
    ///
    /// # Errors
    /// Chromium or its driver is not installed, or does not start.
    pub fn start(namespace: &'a Namespace) -> Result<Self> {
        let driver = namespace.start("chromedriver --port=9515")?;
        let mut browser = Self { namespace, session: String::new(), _driver: driver };
        wait_until("the driver is ready", PATIENCE, || {
            curl(namespace, "GET", &format!("{DRIVER}/status"), None).is_ok_and(|status| status["ready"] == true)
        })?;
        let profile = work_folder()?.join(format!("{}-browser", namespace.name()));
        let options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            // Those of the laboratory are of no authority.
            "--ignore-certificate-errors",
            "--window-size=1000,2000",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": options},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let begun = curl(namespace, "POST", &format!("{DRIVER}/session"), Some(&wanted))?;
        browser.session = begun["sessionId"].as_str().context("the driver names no session")?.to_owned();
        Ok(browser)
    }

    /// Goes to an address, and waits until the page is there.
    ///
    /// # Errors
    /// The page cannot be had.
    pub fn open(&self, address: &str) -> Result<()> {
        self.ask("POST", "/url", Some(&json!({"url": address}))).map(drop)
    }

    /// What can be read on the page.
    ///
    /// # Errors
    /// The window is gone.
    pub fn text(&self) -> Result<String> {
        let body = self.find("//body")?;
        let text = self.ask("GET", &format!("/element/{body}/text"), None)?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page says that. Nobody reloads it: what it does not show by itself does not come.
    ///
    /// # Errors
    /// It does not say so for long; the error has what it says.
    pub fn reads(&self, words: &str) -> Result<()> {
        if wait_until(words, PATIENCE, || self.text().is_ok_and(|text| text.contains(words))).is_err() {
            bail!("the page does not say {words:?} but {:?}", self.text()?);
        }
        Ok(())
    }

    /// Whether the field of that name can be seen.
    ///
    /// # Errors
    /// There is none for long.
    pub fn shows(&self, field: &str) -> Result<bool> {
        let path = format!("//input[@name='{field}']");
        let shown = try_for(PATIENCE, || {
            let element = self.find(&path)?;
            self.ask("GET", &format!("/element/{element}/displayed"), None)
        })?;
        Ok(shown == true)
    }

    /// Types into the field of that name.
    ///
    /// # Errors
    /// There is none for long: the page may be another one in a moment.
    pub fn type_into(&self, field: &str, text: &str) -> Result<()> {
        let path = format!("//input[@name='{field}']");
        let typed = try_for(PATIENCE, || {
            let element = self.find(&path)?;
            self.ask("POST", &format!("/element/{element}/value"), Some(&json!({"text": text})))
        });
        typed.map(drop).with_context(|| format!("nothing can be typed into {field:?}"))
    }

    /// Presses the button, or the link, that is called so, by what stands on it or by what screen readers say. The page may put a
    /// fresh one into its place meanwhile, which is pressed then.
    ///
    /// # Errors
    /// There is none that can be pressed.
    pub fn press(&self, name: &str) -> Result<()> {
        let path = format!(
            "//*[self::button or self::a][@aria-label=\"{name}\" or not(@aria-label) and normalize-space(.)=\"{name}\"]"
        );
        let pressed = try_for(PATIENCE, || {
            let element = self.find(&path)?;
            self.ask("POST", &format!("/element/{element}/click"), Some(&json!({})))
        });
        pressed.map(drop).with_context(|| format!("the button {name:?} cannot be pressed"))
    }

    /// What the browser complains of in its console, such as what the page's own policy forbids it.
    ///
    /// # Errors
    /// The window is gone.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let entries = self.ask("POST", "/se/log", Some(&json!({"type": "browser"})))?;
        let entries = entries.as_array().context("the driver gives no console")?;
        Ok(entries.iter().filter_map(|entry| entry["message"].as_str().map(str::to_owned)).collect())
    }

    fn find(&self, path: &str) -> Result<String> {
        let found = self.ask("POST", "/element", Some(&json!({"using": "xpath", "value": path})))?;
        Ok(found[ELEMENT].as_str().with_context(|| format!("no element {path}"))?.to_owned())
    }

    fn ask(&self, method: &str, what: &str, body: Option<&Value>) -> Result<Value> {
        curl(self.namespace, method, &format!("{DRIVER}/session/{}{what}", self.session), body)
    }
}

/// The value of the driver's answer.
fn curl(namespace: &Namespace, method: &str, address: &str, body: Option<&Value>) -> Result<Value> {
    let mut command = namespace.command("curl");
    command.args(["-s", "-S", "-m", ANSWER_S, "-X", method, address]);
    if let Some(body) = body {
        command.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
    }
    let answer: Value = serde_json::from_str(&run_within(&mut command, PATIENCE * 5)?)?;
    let value = &answer["value"];
    ensure!(value.get("error").is_none(), "{method} {address}: {}", value["message"]);
    Ok(value.clone())
}
