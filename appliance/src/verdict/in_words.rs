//! Features in words: what a number of the schema says, for a person who knows neither the schema nor the model.

use traffic::features::{FEATURES, Feature, FeatureVector, Index};

use super::explain::round;

/// What a flag says where it is not set. Where it is, its meaning says it.
const NOT_SET: [(Index, &str); 12] = [
    (Index::Answered, "the responder sent nothing"),
    (Index::Established, "no TCP handshake was completed"),
    (Index::Refused, "nobody refused the connection"),
    (Index::MidStream, "the flow was seen from its beginning on"),
    (Index::IsTcp, "the protocol is not TCP"),
    (Index::IsUdp, "the protocol is not UDP"),
    (Index::IsIcmp, "the protocol is not ICMP"),
    (Index::LoginService, "the destination port is not that of a service with passwords"),
    (Index::WebService, "the destination port is not that of a web service"),
    (Index::GroupDestination, "the destination is a single host"),
    (Index::OddFlags, "no TCP packets with a combination of flags that no connection uses"),
    (Index::UrgFlags, "no packets with URG"),
];

/// The value of a feature in words, such as `47 distinct hosts tried by the source in 2 s`; empty where there is no such feature.
#[must_use]
pub fn in_words(place: usize, value: f32) -> String {
    let Some(feature) = FEATURES.get(place) else { return String::new() };
    let Feature { unit, meaning, undefined, .. } = *feature;
    if value == 0.0
        && let Some((_, words)) = NOT_SET.iter().find(|(index, _)| *index as usize == place)
    {
        return (*words).to_owned();
    }
    if value == undefined && undefined < 0.0 {
        return format!("not known: {meaning}");
    }
    match unit {
        "flag" => meaning.to_owned(),
        "share" => {
            let of = meaning.strip_prefix("share ").unwrap_or(meaning);
            format!("{} {of}", percent(value))
        }
        // Those of distinct things are estimates, and seldom whole.
        "count" | "packets" => match value.round() {
            1.0 => format!("1 {}", singular(meaning)),
            several => format!("{several} {meaning}"),
        },
        "1/s" | "bytes/s" | "ratio" => format!("{} {meaning}", round(value)),
        _ => format!("{meaning}: {} {unit}", round(value)),
    }
}

/// A number that a feature is compared with, in its unit: `56.2 %`, `0.5 s`, `12.5`.
#[must_use]
pub fn bound_in_words(place: usize, bound: f32) -> String {
    match FEATURES.get(place).map(|feature| feature.unit) {
        Some("share") => format!("{} %", round((bound * 1_000.0).round() / 10.0)),
        Some(unit @ ("s" | "bytes")) => format!("{} {unit}", round(bound)),
        _ => round(bound),
    }
}

/// A value in words with what it was held against: `47 distinct ports tried by the source in 2 s (> 12.5)`. What a flag is held against
/// says nothing more.
#[must_use]
pub fn compared(place: usize, value: f32, bounds: &[(&str, f32)]) -> String {
    let words = in_words(place, value);
    if bounds.is_empty() || FEATURES.get(place).is_none_or(|feature| feature.unit == "flag") {
        return words;
    }
    let bounds: Vec<String> =
        bounds.iter().map(|(sign, bound)| format!("{sign} {}", bound_in_words(place, *bound))).collect();
    format!("{words} ({})", bounds.join(" and "))
}

/// What somebody did lately, with the numbers of the features.
pub(super) struct Deeds<'a>(pub &'a FeatureVector);

impl Deeds<'_> {
    /// The value of a feature.
    pub fn value(&self, index: Index) -> f32 {
        self.0.get(index as usize).copied().unwrap_or_default()
    }

    /// A count as a whole number.
    pub fn count(&self, index: Index) -> f32 {
        self.value(index).round()
    }

    /// `1 port`, `47 ports`.
    pub fn things(&self, index: Index, thing: &str) -> String {
        match self.count(index) {
            1.0 => format!("1 {thing}"),
            several => format!("{several} {thing}s"),
        }
    }

    /// A share as `96 %`.
    pub fn percent(&self, index: Index) -> String {
        percent(self.value(index))
    }
}

fn percent(share: f32) -> String {
    format!("{} %", (share * 100.0).round())
}

/// The meaning of one instead of several: of its first noun in the plural the ending is left away.
fn singular(meaning: &str) -> String {
    let mut is_done = false;
    let one = |word: &str| {
        let stem = word.strip_suffix('s').filter(|_| !is_done);
        is_done |= stem.is_some();
        stem.unwrap_or(word).to_owned()
    };
    meaning.split(' ').map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Index::{
        Answered, BwdPacketLenMean, DstServiceUnfinished2s, FwdPackets, FwdSynOptions, HandshakeS, LoginService,
        PacketsPerS, PairFlows60s, SrcPorts2s, SrcUnanswered2s,
    };

    #[test]
    fn a_value_is_told_with_its_meaning() {
        for (index, value, words) in [
            (SrcPorts2s, 47.0, "47 distinct ports tried by the source in 2 s"),
            (SrcPorts2s, 1.0, "1 distinct port tried by the source in 2 s"),
            (SrcPorts2s, 3.012, "3 distinct ports tried by the source in 2 s"),
            (SrcPorts2s, 1.002, "1 distinct port tried by the source in 2 s"),
            (SrcUnanswered2s, 0.958, "96 % of the source's flows in 2 s that nobody answered in time"),
            (
                DstServiceUnfinished2s,
                1.0,
                "100 % of the TCP flows to the destination port in 2 s without a completed handshake",
            ),
            (
                PairFlows60s,
                1.0,
                "1 connection of the source to services of the same kind (with passwords or MQTT, or of the web) of this host in 60 s",
            ),
            (FwdPackets, 2.0, "2 packets sent by the initiator"),
            (Answered, 0.0, "the responder sent nothing"),
            (Answered, 1.0, "the responder sent something"),
            (
                LoginService,
                1.0,
                "the destination port is that of a service with passwords (SSH, FTP, SMB, Telnet, mail, RDP, databases)",
            ),
            (HandshakeS, -1.0, "not known: time from SYN to the ACK that completes the handshake"),
            (HandshakeS, 0.0125, "time from SYN to the ACK that completes the handshake: 0.013 s"),
            (FwdSynOptions, 1.0, "1 TCP option of the initiator's SYN, padding not counted"),
            (PacketsPerS, 1000.0, "1000 packets a second"),
            (BwdPacketLenMean, 60.0, "mean IP length of the responder's packets: 60 bytes"),
        ] {
            assert_eq!(in_words(index as usize, value), words);
        }
        assert_eq!(in_words(FEATURES.len(), 1.0), "");
        for (index, bound, words) in
            [(SrcUnanswered2s, 0.561_9, "56.2 %"), (HandshakeS, 0.5, "0.5 s"), (SrcPorts2s, 12.5, "12.5")]
        {
            assert_eq!(bound_in_words(index as usize, bound), words);
        }
    }

    #[test]
    fn a_comparison_is_told_with_the_value_and_its_bounds() {
        for (index, value, bounds, words) in [
            (SrcPorts2s, 47.0, &[(">", 12.5)][..], "47 distinct ports tried by the source in 2 s (> 12.5)"),
            (
                SrcUnanswered2s,
                0.958,
                &[(">", 0.561_9), ("≤", 0.97)],
                "96 % of the source's flows in 2 s that nobody answered in time (> 56.2 % and ≤ 97 %)",
            ),
            (Answered, 0.0, &[("≤", 0.5)], "the responder sent nothing"),
            (SrcPorts2s, 2.0, &[], "2 distinct ports tried by the source in 2 s"),
        ] {
            assert_eq!(compared(index as usize, value, bounds), words);
        }
        assert_eq!(compared(FEATURES.len(), 1.0, &[(">", 0.5)]), "");
    }

    #[test]
    fn every_flag_has_words_for_either_value() {
        for (place, _) in FEATURES.iter().enumerate().filter(|(_, feature)| feature.unit == "flag") {
            assert_ne!(in_words(place, 0.0), in_words(place, 1.0), "{}", FEATURES[place].name);
        }
    }
}
