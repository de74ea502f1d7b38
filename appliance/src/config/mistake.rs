//! Mistakes in the configuration, told with line, key, and what was probably meant.

use std::fmt::Write;

/// How near a known key must be to be suggested: similarity of Jaro and Winkler, 0 to 1.
const NEAR: f64 = 0.75;

/// The line, counted from 1, and the words for what the TOML reader refused.
pub(super) fn describe(text: &str, error: &toml::de::Error) -> (usize, String) {
    let span = error.span().unwrap_or(0..0);
    let line = line_at(text.as_bytes(), span.start);
    let message = error.message().trim();
    let mut what = message.lines().collect::<Vec<_>>().join(", ");
    if let Some((line, what)) = in_table(text, message) {
        return (line, what);
    }
    // serde names the unknown field first and then the known ones, each in backticks.
    if let ["unknown field ", unknown, _, known @ ..] = message.split('`').collect::<Vec<_>>().as_slice() {
        let known: Vec<&str> = known.iter().copied().step_by(2).filter(|name| !name.trim().is_empty()).collect();
        what = format!("unknown key `{unknown}`");
        if let Some(meant) = nearest(unknown, &known) {
            let _ = write!(what, "; did you mean `{meant}`?");
        }
        let _ = write!(what, " (known here: {})", known.join(", "));
    } else if let Some(key) = key_in_line(text, line) {
        what = format!("{key}: {what}");
    }
    (line, what)
}

/// What is wrong with the table `[[name]]` of that number, counted from 0, in the words that [`describe`] knows: the TOML reader
/// tells where the first of them begins, whichever is meant.
pub(super) fn of_table(name: &str, number: usize, what: &str) -> String {
    format!("{name}[{number}]: {what}")
}

/// The line of the table that the message is about, and the message for people.
fn in_table(text: &str, message: &str) -> Option<(usize, String)> {
    let (name, rest) = message.split_once('[')?;
    let (number, what) = rest.split_once("]: ")?;
    let header = format!("[[{name}]]");
    let mut headers = text.lines().zip(1..).filter(|(line, _)| line.trim_start().starts_with(&header));
    let (_, line) = headers.nth(number.parse().ok()?)?;
    Some((line, format!("{name}: {what}")))
}

/// The line of a key given as `section.key`; 1 where it stands nowhere.
pub(super) fn line_of_key(text: &str, path: &str) -> usize {
    let (section, key) = path.split_once('.').unwrap_or(("", path));
    let mut current = "";
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            current = header.trim();
        } else if current == section && key_of(line) == Some(key) || current.is_empty() && key_of(line) == Some(path) {
            return number + 1;
        }
    }
    1
}

fn line_at(text: &[u8], offset: usize) -> usize {
    text.iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// Where bytes are no text, and what to do.
pub(super) fn not_utf8(bytes: &[u8], offset: usize) -> (usize, String) {
    let before = bytes.get(..offset).unwrap_or_default();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line_at(bytes, offset), format!("byte {column} of the line is no UTF-8; save the file as text in UTF-8"))
}

/// The key that the line sets.
fn key_in_line(text: &str, line: usize) -> Option<&str> {
    key_of(text.lines().nth(line - 1)?)
}

fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    Some(key.trim()).filter(|key| !key.is_empty() && !key.starts_with('#'))
}

pub(super) fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(unknown, name), *name))
        .filter(|(similarity, _)| *similarity >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use crate::capture::Port;
    use std::path::Path;

    fn refusal(text: &str) -> String {
        match Config::parse(text, Path::new("sluice.toml")) {
            Ok(_) => String::from("accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_mistake_is_told_with_line_key_and_remedy() {
        for (text, expected) in [
            ("\nmoed = \"enforce\"\n", "sluice.toml:2: unknown key `moed`; did you mean `mode`? (known here: "),
            ("[policy]\nlader_s = [60]\n", "sluice.toml:2: unknown key `lader_s`; did you mean `ladder_s`?"),
            ("[web]\nxyzzy = 1\n", "sluice.toml:2: unknown key `xyzzy` (known here: listen_port, host_names, socket)"),
            ("[memory]\nflows = 10\n", "sluice.toml:2: memory.flows: give a number from 1024 to 1048576"),
            (
                "[memory]\nprofile = \"tiny\"\n",
                "sluice.toml:2: profile: unknown variant `tiny`, expected `default` or `small`",
            ),
            ("mode = \"block\"\n", "sluice.toml:1: mode: unknown variant `block`, expected one of `observe`"),
            (
                "[policy]\n\nallow = [\"198.51.100.300\"]\n",
                "sluice.toml:3: allow: `198.51.100.300` is neither an address",
            ),
            ("policy.approval_s = 5\n", "sluice.toml:1: policy.approval_s: give a number from 60 to 604800 seconds"),
            ("policy.limit_per_s = 0\n", "sluice.toml:1: policy.limit_per_s: give a number from 1 to 100000"),
            (
                "[policy]\nladder_s = \"10m\"\n",
                "sluice.toml:2: ladder_s: invalid type: string \"10m\", expected a sequence",
            ),
            ("policy.ladder_s = []\n", "sluice.toml:1: policy.ladder_s: give 1 to 8 lengths, "),
            ("policy.ladder_s = [0]\n", "sluice.toml:1: policy.ladder_s: give 1 to 8 lengths, "),
            ("policy.ladder_s = [604801]\n", "sluice.toml:1: policy.ladder_s: give 1 to 8 lengths, "),
            ("policy.ladder_s = [60, 50]\n", "sluice.toml:1: policy.ladder_s: give 1 to 8 lengths, "),
            ("[bridge]\nports = [\"a\", \"a\"]\n", "sluice.toml:2: bridge.ports: name two different interfaces"),
            (
                "[bridge]\nports = [\"eth0\"]\n",
                "sluice.toml:2: ports: name two ports, such as [\"eth0\", \"eth1\"], not 1",
            ),
            ("[bridge]\nports = [\"a\", \"b\", \"c\"]\n", "sluice.toml:2: ports: name two ports, such as "),
            (
                "[bridge]\naddresses = [\"198.51.100.2\"]\n",
                "sluice.toml:2: addresses: `198.51.100.2` has no prefix length; write it with one, such as 198.51.100.2/24",
            ),
            (
                "[bridge]\naddresses = [\"2001:db8::2\"]\n",
                "sluice.toml:2: addresses: `2001:db8::2` has no prefix length; write it with one, such as 2001:db8::2/64",
            ),
            (
                "[bridge]\naddresses = [\"br0\"]\n",
                "sluice.toml:2: addresses: `br0` is no address with its prefix length",
            ),
            (
                "[web]\nlisten_port = 70000\n",
                "sluice.toml:2: listen_port: 70000 is no port; give a number from 0 to 65535",
            ),
            ("[web]\nlisten_port = -1\n", "sluice.toml:2: listen_port: -1 is no port; "),
            (
                "[web]\nhost_names = [\"http://sluice.lan\"]\n",
                "sluice.toml:2: host_names: `http://sluice.lan` is no name of a host; give the name alone, such as sluice.lan",
            ),
            ("[web]\nhost_names = [\"sluice.lan:8080\"]\n", "sluice.toml:2: host_names: `sluice.lan:8080` is no name"),
            ("state_dir = \"\"\n", "sluice.toml:1: state_dir: `` is no whole path; give one that begins with /"),
            ("state_dir = \"state\"\n", "sluice.toml:1: state_dir: `state` is no whole path"),
            ("[web]\nsocket = \"sock\"\n", "sluice.toml:2: web.socket: `sock` is no whole path"),
            (
                "[bridge]\nports = [\"a\", \"b\"]\ninternet_port = \"c\"\n",
                "sluice.toml:3: bridge.internet_port: `c` is none of bridge.ports; give \"a\", \"b\", or \"auto\"",
            ),
            ("policy.max_blocks = 0\n", "sluice.toml:1: policy.max_blocks: give a number from 1 to 20000"),
            ("policy.max_blocks_per_minute = 0\n", "sluice.toml:1: policy.max_blocks_per_minute: give a number from 1"),
            ("policy.max_share_of_lan = 34\n", "sluice.toml:1: policy.max_share_of_lan: give a share from 0 to 1"),
            ("policy.max_share_of_lan = nan\n", "sluice.toml:1: policy.max_share_of_lan: give a share from 0 to 1"),
            ("\n[bridge]\nname = \"a b\"\n", "sluice.toml:3: bridge.name: `a b` is no interface name"),
            ("[hardware]\nled = \"a/b\"\n", "sluice.toml:2: led: `a/b` is neither the name of an LED below"),
            (
                "[hardware]\nbutton = \"GPIO17\"\n",
                "sluice.toml:2: button: `GPIO17` is no line of a GPIO chip; give one",
            ),
            (
                "[hardware]\nled = \"gpiochip0\"\n",
                "sluice.toml:2: led: `gpiochip0` is no line of a GPIO chip; give one",
            ),
            (
                "[hardware]\nwatchdog_timeout_s = 5\n",
                "sluice.toml:2: hardware.watchdog_timeout_s: give a number from 10 to 65535 seconds",
            ),
            (
                "[hardware]\nwatchdog = \"watchdog0\"\n",
                "sluice.toml:2: hardware.watchdog: `watchdog0` is no path of a device; give one such as /dev/watchdog",
            ),
            (
                "[hardware]\nled_is_active_low = true\nled = \"ACT\"\n",
                "sluice.toml:3: hardware.led: the kernel knows how its LEDs are wired",
            ),
            (
                "[hardware]\nbutton = \"gpiochip0:1\"\n\nbypass_relay = \"gpiochip0:1\"\n",
                "sluice.toml:4: hardware.bypass_relay: `gpiochip0:1` is used for something else",
            ),
            ("mode = \n", "sluice.toml:1: "),
        ] {
            let told = refusal(text);
            assert!(told.starts_with(expected), "{told}\n  instead of\n{expected}");
        }
    }

    #[test]
    fn the_small_profile_has_room_for_fewer_flows_and_blocks_unless_told_otherwise() {
        let parsed = |text| Config::parse(text, Path::new("sluice.toml")).expect("valid");
        let small = parsed("[memory]\nprofile = \"small\"\n");
        assert_eq!((small.memory.limits().flows, small.max_blocks()), (8_192, 500));
        assert_eq!(parsed("policy.max_blocks = 7\nmemory.profile = \"small\"\n").max_blocks(), 7);
        assert_eq!(parsed("[memory]\nprofile = \"small\"\nflows = 20000\n").memory.limits().flows, 20_000);
    }

    #[test]
    fn the_port_that_faces_the_internet_is_found_out_unless_it_is_named() {
        let port = |text| Config::parse(text, Path::new("sluice.toml")).expect("valid").internet_port();
        assert_eq!(port("[bridge]\nports = [\"a\", \"b\"]\n"), None);
        assert_eq!(port("[bridge]\nports = [\"a\", \"b\"]\ninternet_port = \"b\"\n"), Some(Port::Second));
    }

    #[test]
    fn the_configuration_of_the_image_is_the_default_one() {
        let text = include_str!("../../../overlay/etc/sluice/sluice.toml");
        let config = Config::parse(text, Path::new("sluice.toml")).expect("valid");
        assert_eq!(config, Config::default());
    }
}
