//! From one configuration to the next while the daemon runs: which keys say something else, and which of them can hold at
//! once.

use super::{Bridge, Config, Policy, Web};
use crate::registry::ModelConfig;

/// Keys that say something else than before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that hold at once.
    pub at_once: Vec<&'static str>,
    /// Those that hold from the next start on.
    pub at_next_start: Vec<&'static str>,
}

impl Changes {
    fn take<T: PartialEq>(&mut self, key: &'static str, mine: &T, next: &T) {
        if mine != next {
            self.at_once.push(key);
        }
    }

    fn keep<T: PartialEq + Clone>(&mut self, key: &'static str, mine: &T, next: &mut T) {
        if mine != next {
            self.at_next_start.push(key);
            next.clone_from(mine);
        }
    }
}

impl Config {
    /// What holds of the next configuration while the daemon runs by this one: all but what is fixed at the start.
    #[must_use]
    pub fn followed_by(&self, mut next: Self) -> (Self, Changes) {
        let mut changes = Changes::default();
        // All keys by name, so that a new one cannot be forgotten here.
        let Self {
            mode,
            on_failure,
            selftest_at_start,
            state_dir,
            bridge,
            policy,
            rules,
            model,
            lists,
            web,
            memory,
            hardware,
        } = self;
        changes.take("mode", mode, &next.mode);
        changes.keep("on_failure", on_failure, &mut next.on_failure);
        changes.keep("selftest_at_start", selftest_at_start, &mut next.selftest_at_start);
        changes.keep("state_dir", state_dir, &mut next.state_dir);
        changes.bridge(bridge, &mut next.bridge);
        changes.policy(policy, &next.policy);
        changes.take("rules", rules, &next.rules);
        changes.model(model, &next.model);
        changes.take("lists", lists, &next.lists);
        changes.web(web, &mut next.web);
        changes.keep("memory", memory, &mut next.memory);
        changes.keep("hardware", hardware, &mut next.hardware);
        (next, changes)
    }
}

impl Changes {
    fn bridge(&mut self, bridge: &Bridge, next: &mut Bridge) {
        let Bridge { name, ports, internet_port, addresses, gateway, name_servers } = bridge;
        self.keep("bridge.name", name, &mut next.name);
        self.keep("bridge.ports", ports, &mut next.ports);
        self.keep("bridge.internet_port", internet_port, &mut next.internet_port);
        self.keep("bridge.addresses", addresses, &mut next.addresses);
        self.keep("bridge.gateway", gateway, &mut next.gateway);
        self.keep("bridge.name_servers", name_servers, &mut next.name_servers);
    }

    fn policy(&mut self, policy: &Policy, next: &Policy) {
        let Policy {
            profile,
            allow,
            lan,
            ladder_s,
            unblock_grace_s,
            max_blocks,
            max_blocks_per_minute,
            max_share_of_lan,
            approval_s,
            limit_per_s,
        } = policy;
        self.take("policy.profile", profile, &next.profile);
        self.take("policy.allow", allow, &next.allow);
        self.take("policy.lan", lan, &next.lan);
        self.take("policy.ladder_s", ladder_s, &next.ladder_s);
        self.take("policy.unblock_grace_s", unblock_grace_s, &next.unblock_grace_s);
        self.take("policy.max_blocks", max_blocks, &next.max_blocks);
        self.take("policy.max_blocks_per_minute", max_blocks_per_minute, &next.max_blocks_per_minute);
        self.take("policy.max_share_of_lan", max_share_of_lan, &next.max_share_of_lan);
        self.take("policy.approval_s", approval_s, &next.approval_s);
        self.take("policy.limit_per_s", limit_per_s, &next.limit_per_s);
    }

    fn model(&mut self, ModelConfig { keys, active, shadow, drift_alarm }: &ModelConfig, next: &ModelConfig) {
        self.take("model.keys", keys, &next.keys);
        self.take("model.active", active, &next.active);
        self.take("model.shadow", shadow, &next.shadow);
        self.take("model.drift_alarm", drift_alarm, &next.drift_alarm);
    }

    fn web(&mut self, Web { listen_port, host_names, socket }: &Web, next: &mut Web) {
        self.take("web.listen_port", listen_port, &next.listen_port);
        self.take("web.host_names", host_names, &next.host_names);
        self.keep("web.socket", socket, &mut next.socket);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parsed(text: &str) -> Config {
        Config::parse(text, Path::new("sluice.toml")).expect("valid")
    }

    #[test]
    fn each_key_is_named_once_and_only_what_can_change_at_once_does() {
        let text = r#"
            rules = []
            mode = "approve"
            on_failure = "closed"
            selftest_at_start = false
            state_dir = "/elsewhere"
            bridge = { name = "br9", ports = ["a", "b"], addresses = ["198.51.100.2/24"], internet_port = "a", gateway = ["198.51.100.1"], name_servers = ["203.0.113.53"] }
            web = { listen_port = 81, host_names = ["sluice.lan"], socket = "/elsewhere/socket" }
            memory = { profile = "small" }
            hardware = { led = "ACT" }
            lists = [{ name = "n", path = "/n", class = "botnet", confidence = 0.9 }]
            [policy]
            profile = "strict"
            allow = ["198.51.100.10"]
            lan = ["198.51.100.0/24"]
            ladder_s = [60]
            unblock_grace_s = 1
            max_blocks = 2
            max_blocks_per_minute = 3
            max_share_of_lan = 0.5
            approval_s = 61
            limit_per_s = 4
            [model]
            keys = ["ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"]
            active = "forest@3"
            shadow = "forest@4"
            drift_alarm = 1.5
        "#;
        let (before, next) = (Config::default(), parsed(text));
        let (held, changes) = before.followed_by(next.clone());
        let fixed = [
            "on_failure",
            "selftest_at_start",
            "state_dir",
            "bridge.name",
            "bridge.ports",
            "bridge.internet_port",
            "bridge.addresses",
            "bridge.gateway",
            "bridge.name_servers",
        ];
        assert_eq!(changes.at_next_start, [&fixed[..], &["web.socket", "memory", "hardware"]].concat());
        assert_eq!(changes.at_once.len(), 19, "{:?}", changes.at_once);
        assert_eq!((&held.policy, &held.rules, held.mode), (&next.policy, &next.rules, next.mode));
        assert_eq!((&held.bridge, held.memory, &held.web.socket), (&before.bridge, before.memory, &before.web.socket));
        // What waits for the next start is told each time until then.
        let (_, again) = held.followed_by(next);
        assert_eq!(again, Changes { at_once: Vec::new(), ..changes });
        assert_eq!(before.followed_by(Config::default()).1, Changes::default());
    }
}
