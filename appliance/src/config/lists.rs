//! `[[lists]]`: files of addresses that are looked up beside the model.

use std::path::PathBuf;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use traffic::features::ThreatClass;

use super::Config;
use super::rules::{accusation, confidence, name};
use crate::verdict::lists::{AddressList, ListConfig, MOST_LISTS, Reading};
use crate::verdict::rules::Name;
use crate::verdict::{Rulebook, Verdict};

/// A list as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(deserialize_with = "name")]
    name: String,
    path: PathBuf,
    #[serde(deserialize_with = "accusation")]
    class: ThreatClass,
    #[serde(deserialize_with = "confidence")]
    confidence: f32,
    #[serde(default)]
    block: bool,
}

pub(super) fn lists<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ListConfig>, D::Error> {
    let list = |written: Written| ListConfig {
        name: Name::new(&written.name),
        path: written.path,
        verdict: Verdict { class: written.class, confidence: written.confidence },
        block: written.block,
    };
    let lists: Vec<ListConfig> = Vec::<Written>::deserialize(deserializer)?.into_iter().map(list).collect();
    if lists.len() > MOST_LISTS {
        return Err(D::Error::custom(format!("there are {} lists; give {MOST_LISTS} at most", lists.len())));
    }
    Ok(lists)
}

impl Config {
    /// What is judged beside the model, with the lists as their files are now; `told` gets each list with what was read of
    /// it, or why its file cannot be read. Such a list is not used.
    pub fn rulebook(&self, mut told: impl FnMut(&ListConfig, Result<Reading, String>)) -> Rulebook {
        let mut lists = Vec::with_capacity(self.lists.len());
        for config in &self.lists {
            match AddressList::load(config) {
                Ok((list, reading)) => {
                    lists.push(list);
                    told(config, Ok(reading));
                }
                Err(cause) => told(config, Err(unreadable(config, &cause))),
            }
        }
        Rulebook { rules: self.rules.clone(), lists }
    }
}

fn unreadable(config: &ListConfig, cause: &std::io::Error) -> String {
    let ListConfig { name, path, .. } = config;
    format!("the list {name:?} is not used: {}: {cause}; put the file there and run `sluice reload`", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const LIST: &str = "[[lists]]\nname = \"n\"\npath = \"/nowhere/n.txt\"\nclass = \"botnet\"\nconfidence = 0.9\n";

    fn parsed(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("sluice.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_is_taken_as_it_is_written_and_only_alerts_unless_told_to_block() {
        for (more, block) in [("", false), ("block = true\n", true)] {
            let config = parsed(&format!("{LIST}{more}")).expect("valid");
            let verdict = Verdict { class: ThreatClass::Botnet, confidence: 0.9 };
            let expected = ListConfig { name: Name::new("n"), path: PathBuf::from("/nowhere/n.txt"), verdict, block };
            assert_eq!(config.lists, [expected]);
        }
    }

    #[test]
    fn a_mistake_in_a_list_is_told_with_line_key_and_what_was_meant() {
        for (changed, to, expected) in [
            ("path", "paht", "sluice.toml:3: unknown key `paht`; did you mean `path`? (known here: name, path, class,"),
            ("botnet", "botnets", "sluice.toml:4: class: `botnets` is no attack; did you mean `botnet`?"),
            ("0.9", "9", "sluice.toml:5: confidence: give a number above 0.5"),
        ] {
            let told = parsed(&LIST.replace(changed, to)).expect_err(changed);
            assert!(told.starts_with(expected), "{told}\n  instead of\n{expected}");
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_is_a_fault_with_its_remedy_and_stops_nothing() {
        let mut faults = Vec::new();
        let rulebook = parsed(LIST).expect("valid").rulebook(|_, read| faults.extend(read.err()));
        assert!(rulebook.lists.is_empty() && !rulebook.rules.is_empty());
        let told = "the list \"n\" is not used: /nowhere/n.txt: No such file or directory (os error 2); put the file there \
            and run `sluice reload`";
        assert_eq!(faults, [told]);
        let too_many = parsed(&LIST.repeat(MOST_LISTS + 1)).expect_err("refused");
        assert!(too_many.ends_with("there are 17 lists; give 16 at most"), "{too_many}");
        // A pipe would hold the start up for ever.
        let device = parsed(&LIST.replace("/nowhere/n.txt", "/dev/null")).expect("valid");
        device.rulebook(|_, read| assert!(read.is_err_and(|told| told.contains("no plain file of 32 MiB at most"))));
    }
}
