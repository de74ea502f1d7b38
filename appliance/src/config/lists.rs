//! `[[lists]]`: addresses and domains from files and from the web, looked up beside the model.

use core::ops::RangeInclusive;
use core::time::Duration;
use std::path::PathBuf;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use traffic::features::ThreatClass;
use ureq::http::Uri;

use super::mistake;
use super::rules::{accusation, checked, confidence, name};
use crate::verdict::Verdict;
use crate::verdict::lists::{ListConfig, MOST_LISTS, Source};
use crate::verdict::rules::Name;

/// How often a list may be fetched, in seconds: nobody's server is to be asked more often than every five minutes.
const REFRESH_S: RangeInclusive<u32> = 300..=30 * 86_400;

/// How often it is fetched unless told otherwise.
const DEFAULT_REFRESH_S: u32 = 86_400;

/// This program can fetch by https://.
const HAS_TLS: bool = cfg!(feature = "tls");

/// A list as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(deserialize_with = "name")]
    name: String,
    #[serde(default)]
    path: Option<PathBuf>,
    #[serde(default, deserialize_with = "url")]
    url: Option<String>,
    #[serde(default, deserialize_with = "refresh_s")]
    refresh_s: Option<u32>,
    #[serde(deserialize_with = "accusation")]
    class: ThreatClass,
    #[serde(deserialize_with = "confidence")]
    confidence: f32,
    #[serde(default)]
    block: bool,
}

impl Written {
    /// The list as it is meant, or what the keys say together that no single one does.
    fn list(self) -> Result<ListConfig, &'static str> {
        let Self { name, path, url, refresh_s, class, confidence, block } = self;
        let source = match (path, url) {
            (Some(path), None) if refresh_s.is_none() => Source::File(path),
            (Some(_), None) => {
                return Err("leave `refresh_s` out with `path`: a file is read again when it has changed");
            }
            (None, Some(url)) => {
                let refresh = Duration::from_secs(refresh_s.unwrap_or(DEFAULT_REFRESH_S).into());
                Source::Url { url, refresh }
            }
            (Some(_), Some(_)) => return Err("give `path` or `url`, not both"),
            (None, None) => return Err("give the list a `path` to a file, or a `url` to fetch it from"),
        };
        Ok(ListConfig { name: Name::new(&name), source, verdict: Verdict { class, confidence }, block })
    }
}

pub(super) fn lists<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ListConfig>, D::Error> {
    let lists = Vec::<Written>::deserialize(deserializer)?;
    if lists.len() > MOST_LISTS {
        return Err(D::Error::custom(format!("there are {} lists; give {MOST_LISTS} at most", lists.len())));
    }
    let checked = |(number, list): (usize, Written)| {
        list.list().map_err(|what| D::Error::custom(mistake::of_table("lists", number, what)))
    };
    lists.into_iter().enumerate().map(checked).collect()
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    checked(deserializer, |url: &String| url_mistake(url, HAS_TLS).map_or(Ok(()), Err)).map(Some)
}

/// What is wrong with an address to fetch from.
fn url_mistake(url: &str, has_tls: bool) -> Option<&'static str> {
    let uri = url.parse::<Uri>().ok();
    let authority = uri.as_ref().and_then(Uri::authority).map_or("", |authority| authority.as_str());
    match uri.as_ref().and_then(Uri::scheme_str) {
        // Addresses of lists are shown in faults.
        _ if authority.contains('@') => Some("leave the password out; lists are fetched without one"),
        Some("https") if !has_tls => Some(
            "this program was built without TLS: give an address that begins with http://, or build it with the feature `tls`",
        ),
        Some("http" | "https") if !authority.is_empty() => None,
        _ => Some("give an address such as \"https://lists.example/bad.txt\", with http:// or https://"),
    }
}

fn refresh_s<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let told = || format!("give {} to {} seconds", REFRESH_S.start(), REFRESH_S.end());
    checked(deserializer, |seconds: &u32| if REFRESH_S.contains(seconds) { Ok(()) } else { Err(told()) }).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;

    const LIST: &str = "[[lists]]\nname = \"n\"\npath = \"/nowhere/n.txt\"\nclass = \"botnet\"\nconfidence = 0.9\n";
    const WEB_LIST: &str =
        "[[lists]]\nname = \"n\"\nurl = \"http://lists.example/n\"\nclass = \"botnet\"\nconfidence = 0.9\n";

    fn parsed(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("sluice.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_is_taken_as_it_is_written_and_only_alerts_unless_told_to_block() {
        let file = Source::File(PathBuf::from("/nowhere/n.txt"));
        let web = |refresh_s| Source::Url {
            url: String::from("http://lists.example/n"),
            refresh: Duration::from_secs(refresh_s),
        };
        for (list, more, source, block) in [
            (LIST, "", file.clone(), false),
            (LIST, "block = true\n", file, true),
            (WEB_LIST, "", web(86_400), false),
            (WEB_LIST, "refresh_s = 300\n", web(300), false),
        ] {
            let config = parsed(&format!("{list}{more}")).expect("valid");
            let verdict = Verdict { class: ThreatClass::Botnet, confidence: 0.9 };
            assert_eq!(config.lists, [ListConfig { name: Name::new("n"), source, verdict, block }]);
        }
        let too_many = parsed(&LIST.repeat(MOST_LISTS + 1)).expect_err("refused");
        assert!(too_many.ends_with("there are 17 lists; give 16 at most"), "{too_many}");
    }

    #[test]
    fn a_mistake_in_a_list_is_told_with_line_key_and_what_was_meant() {
        for (list, changed, to, expected) in [
            (
                LIST,
                "path",
                "paht",
                "sluice.toml:3: unknown key `paht`; did you mean `path`? (known here: name, path, url,",
            ),
            (LIST, "botnet", "botnets", "sluice.toml:4: class: `botnets` is no attack; did you mean `botnet`?"),
            (LIST, "0.9", "9", "sluice.toml:5: confidence: give a number above 0.5"),
            (
                LIST,
                "path = \"/nowhere/n.txt\"\n",
                "",
                "sluice.toml:1: lists: give the list a `path` to a file, or a `url`",
            ),
            (
                LIST,
                "class",
                "url = \"http://x.example\"\nclass",
                "sluice.toml:1: lists: give `path` or `url`, not both",
            ),
            (LIST, "class", "refresh_s = 600\nclass", "sluice.toml:1: lists: leave `refresh_s` out with `path`"),
            (WEB_LIST, "class", "refresh_s = 299\nclass", "sluice.toml:4: refresh_s: give 300 to 2592000 seconds"),
            (WEB_LIST, "http:", "ftp:", "sluice.toml:3: url: give an address such as \"https://"),
            (WEB_LIST, "http://lists.example", "", "sluice.toml:3: url: give an address such as \"https://"),
            (WEB_LIST, "lists.example", "me:pw@lists.example", "sluice.toml:3: url: leave the password out"),
        ] {
            let told = parsed(&list.replacen(changed, to, 1)).expect_err(changed);
            assert!(told.starts_with(expected), "{told}\n  instead of\n{expected}");
        }
        let second = format!("{LIST}\n{}", LIST.replace("path = \"/nowhere/n.txt\"\n", ""));
        let told = parsed(&second).expect_err("refused");
        assert!(told.starts_with("sluice.toml:7: lists: give the list a `path`"), "{told}");
    }

    #[test]
    fn without_tls_an_address_with_https_is_refused_with_the_remedy() {
        let told = url_mistake("https://lists.example/n", false).expect("a mistake");
        assert!(told.contains("built without TLS") && told.contains("http://") && told.contains("`tls`"), "{told}");
        assert_eq!(url_mistake("https://lists.example/n", true), None);
        assert_eq!(url_mistake("http://[2001:db8::1]:8080/n?a=b", false), None);
    }
}
