//! The one list of features: what stands at which place of a [`super::FeatureVector`].
//!
//! To add a feature: 1. add its line to [`FEATURES`] and its name to [`Index`], both at the same place; 2. set its value
//! in the family file that it belongs to; 3. `UPDATE=1 cargo test -p traffic --test schema` for the table in `README.md`;
//! 4. retrain (`make model`): the hash of the schema has changed, and the build refuses a model made for another one.

/// How many numbers a feature vector has.
pub const FEATURE_COUNT: usize = FEATURES.len();

/// One column of the feature vector.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// Name in model files and tables.
    pub name: &'static str,
    /// Unit: `packets`, `bytes`, `s`, `1/s`, `bytes/s`, `share` (0 to 1), `flag` (0 or 1), `count`, `ratio`.
    pub unit: &'static str,
    /// What it says, in words that also stand in an alert's reason.
    pub meaning: &'static str,
    /// The value where it is not defined, such as a mean of nothing.
    pub undefined: f32,
    /// The CICIDS2017 (`cic:`) or NSL-KDD (`kdd:`) column that it corresponds to, or nothing.
    pub corresponds_to: &'static str,
}

/// What a flow looks like. The order is the class number in model files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ThreatClass {
    /// Nothing of note.
    Benign,
    /// Looking for hosts, ports or services.
    Scan,
    /// Denial of service by sheer number of packets or connections.
    Flood,
    /// Guessing passwords.
    BruteForce,
    /// A device under somebody else's control.
    Botnet,
    /// An attack on a web application.
    WebAttack,
    /// Another protocol's traffic hidden inside this one.
    Tunnel,
}

impl ThreatClass {
    /// All classes, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Benign, Self::Scan, Self::Flood, Self::BruteForce, Self::Botnet, Self::WebAttack, Self::Tunnel];

    /// The name in model files, reports, the store and the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Benign => "benign",
            Self::Scan => "scan",
            Self::Flood => "flood",
            Self::BruteForce => "brute_force",
            Self::Botnet => "botnet",
            Self::WebAttack => "web_attack",
            Self::Tunnel => "tunnel",
        }
    }

    /// The class of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// The classes that somebody can be accused of.
    pub fn attacks() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|class| *class != Self::Benign)
    }

    /// The class of that name, if somebody can be accused of it.
    #[must_use]
    pub fn attack_from_name(name: &str) -> Option<Self> {
        Self::attacks().find(|class| class.name() == name)
    }

    /// The place in [`Self::ALL`].
    #[must_use]
    pub const fn number(self) -> usize {
        self as usize
    }
}

macro_rules! schema {
    ($( $index:ident $name:literal $unit:literal $meaning:literal $undefined:literal $corresponds:literal; )*) => {
        /// Places in the feature vector, by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Index { $( #[doc = $meaning] $index, )* }

        /// Every feature, in the order of the vector.
        pub const FEATURES: &[Feature] = &[ $( Feature {
            name: $name, unit: $unit, meaning: $meaning, undefined: $undefined, corresponds_to: $corresponds,
        }, )* ];
    };
}

schema! {
    // sizes
    FwdPackets "fwd_packets" "packets" "packets sent by the initiator" 0.0 "cic:Total Fwd Packet";
    BwdPackets "bwd_packets" "packets" "packets sent by the responder" 0.0 "cic:Total Bwd packets";
    FwdPayloadBytes "fwd_payload_bytes" "bytes" "payload sent by the initiator" 0.0 "cic:Total Length of Fwd Packet kdd:src_bytes";
    BwdPayloadBytes "bwd_payload_bytes" "bytes" "payload sent by the responder" 0.0 "cic:Total Length of Bwd Packet kdd:dst_bytes";
    FwdPacketLenMean "fwd_packet_len_mean" "bytes" "mean IP length of the initiator's packets" 0.0 "cic:Fwd Packet Length Mean";
    FwdPacketLenStd "fwd_packet_len_std" "bytes" "standard deviation of the IP length of the initiator's packets" 0.0 "cic:Fwd Packet Length Std";
    BwdPacketLenMean "bwd_packet_len_mean" "bytes" "mean IP length of the responder's packets" 0.0 "cic:Bwd Packet Length Mean";
    BwdPacketLenStd "bwd_packet_len_std" "bytes" "standard deviation of the IP length of the responder's packets" 0.0 "cic:Bwd Packet Length Std";
    PacketLenMax "packet_len_max" "bytes" "longest IP packet" 0.0 "cic:Packet Length Max";
    PacketLenStd "packet_len_std" "bytes" "standard deviation of the IP packet length" 0.0 "cic:Packet Length Std";
    // timing
    DurationS "duration_s" "s" "time from the first to the last packet" 0.0 "cic:Flow Duration kdd:duration";
    IatMeanS "iat_mean_s" "s" "mean time between packets" 0.0 "cic:Flow IAT Mean";
    IatStdS "iat_std_s" "s" "standard deviation of the time between packets" 0.0 "cic:Flow IAT Std";
    IatMaxS "iat_max_s" "s" "longest time between packets" 0.0 "cic:Flow IAT Max";
    // rates
    PacketsPerS "packets_per_s" "1/s" "packets a second" 0.0 "cic:Flow Packets/s";
    BytesPerS "bytes_per_s" "bytes/s" "IP bytes a second" 0.0 "cic:Flow Bytes/s";
    BwdShare "bwd_share" "share" "share of the packets that the responder sent" 0.0 "cic:Down/Up Ratio";
    // flags
    FwdSynFlags "fwd_syn_flags" "packets" "packets of the initiator with SYN" 0.0 "cic:SYN Flag Count";
    FinFlags "fin_flags" "packets" "packets with FIN" 0.0 "cic:FIN Flag Count";
    RstFlags "rst_flags" "packets" "packets with RST" 0.0 "cic:RST Flag Count";
    PshFlags "psh_flags" "packets" "packets with PSH" 0.0 "cic:PSH Flag Count";
    UrgFlags "urg_flags" "packets" "packets with URG" 0.0 "cic:URG Flag Count kdd:urgent";
    OddFlags "odd_flags" "packets" "TCP packets with a combination of flags that no connection uses" 0.0 "";
    Retransmits "retransmits" "packets" "TCP packets whose payload ends where their sender had already been: sent again, or late" 0.0 "";
    // handshake
    Answered "answered" "flag" "the responder sent something" 0.0 "";
    Established "established" "flag" "the TCP handshake was completed" 0.0 "kdd:flag";
    Refused "refused" "flag" "the responder reset the connection before it was established, or an ICMP error said that it cannot be reached" 0.0 "kdd:flag";
    MidStream "mid_stream" "flag" "a TCP flow first seen without its SYN" 0.0 "";
    HandshakeS "handshake_s" "s" "time from SYN to the ACK that completes the handshake" -1.0 "";
    FwdSynOptions "fwd_syn_options" "count" "TCP options of the initiator's SYN, padding not counted" -1.0 "";
    FwdWindowMinBytes "fwd_window_min_bytes" "bytes" "smallest receive window that the initiator offered after its SYN" -1.0 "cic:FWD Init Win Bytes";
    // service
    IsTcp "is_tcp" "flag" "the protocol is TCP" 0.0 "kdd:protocol_type";
    IsUdp "is_udp" "flag" "the protocol is UDP" 0.0 "kdd:protocol_type";
    IsIcmp "is_icmp" "flag" "the protocol is ICMP or ICMPv6" 0.0 "kdd:protocol_type";
    LoginService "login_service" "flag" "the destination port is that of a service with passwords (SSH, FTP, SMB, Telnet, mail, RDP, databases)" 0.0 "kdd:service";
    WebService "web_service" "flag" "the destination port is that of a web service (80, 443, 8000, 8080, 8443)" 0.0 "kdd:service";
    GroupDestination "group_destination" "flag" "the destination is a broadcast or multicast address" 0.0 "";
    // peers: what the source did lately, over all its flows; groups are neither hosts nor have they ports that are tried
    SrcFlows2s "src_flows_2s" "count" "flows begun by the source in 2 s" 0.0 "kdd:count";
    SrcPorts2s "src_ports_2s" "count" "distinct ports tried by the source in 2 s" 0.0 "";
    SrcHosts2s "src_hosts_2s" "count" "distinct hosts tried by the source in 2 s" 0.0 "";
    SrcUnanswered2s "src_unanswered_share_2s" "share" "share of the source's flows in 2 s that nobody answered in time" 0.0 "kdd:serror_rate";
    SrcRefused2s "src_refused_share_2s" "share" "share of the source's flows in 2 s that were refused" 0.0 "kdd:rerror_rate";
    SrcUnfinished2s "src_unfinished_share_2s" "share" "share of the source's TCP flows in 2 s without a completed handshake in time" 0.0 "kdd:serror_rate";
    SrcFlows60s "src_flows_60s" "count" "flows begun by the source in 60 s" 0.0 "kdd:count";
    SrcPorts60s "src_ports_60s" "count" "distinct ports tried by the source in 60 s" 0.0 "";
    SrcHosts60s "src_hosts_60s" "count" "distinct hosts tried by the source in 60 s" 0.0 "";
    SrcPortsPerHost60s "src_ports_per_host_60s" "ratio" "distinct ports tried by the source in 60 s, for each distinct host" 0.0 "";
    SrcServicesPerHost60s "src_services_per_host_60s" "ratio" "ports tried by the source at each of its hosts in 60 s, on average" 0.0 "";
    SrcUnanswered60s "src_unanswered_share_60s" "share" "share of the source's flows in 60 s that nobody answered in time" 0.0 "kdd:serror_rate";
    SrcRefused60s "src_refused_share_60s" "share" "share of the source's flows in 60 s that were refused" 0.0 "kdd:rerror_rate";
    SrcUnfinished60s "src_unfinished_share_60s" "share" "share of the source's TCP flows in 60 s without a completed handshake in time" 0.0 "kdd:serror_rate";
    SrcHalfOpen60s "src_half_open_60s" "count" "connections of the source in 60 s that the other side accepted and the source reset before it completed the handshake" 0.0 "";
    SrcLogins60s "src_logins_60s" "count" "connections of the source to services with passwords in 60 s" 0.0 "kdd:num_failed_logins";
    SrcShortLogins60s "src_short_logins_60s" "count" "connections of the source to services with passwords that were short and did not let it in as far as can be seen, ended in 60 s" 0.0 "kdd:num_failed_logins";
    SrcMeagreLogins60s "src_meagre_logins_60s" "count" "connections of the source to services with passwords that were short, brought it little for what it said, and did not let it in as far as can be seen, ended in 60 s" 0.0 "kdd:num_failed_logins";
    PairFlows2s "pair_flows_2s" "count" "connections of the source to services of the same kind (with passwords or MQTT, or of the web) of this host in 2 s" 0.0 "kdd:srv_count";
    PairFlows60s "pair_flows_60s" "count" "connections of the source to services of the same kind (with passwords or MQTT, or of the web) of this host in 60 s" 0.0 "kdd:srv_count";
    PairOpen60s "pair_open_60s" "count" "connections of the source to services of the same kind of this host, established in 60 s and not ended" 0.0 "";
    PairShortLogins60s "pair_short_logins_60s" "count" "connections of the source to services with passwords of this host that were short and did not let it in as far as can be seen, ended in 60 s" 0.0 "kdd:num_failed_logins";
    PairMeagreLogins60s "pair_meagre_logins_60s" "count" "connections of the source to services with passwords of this host that were short, brought it little for what it said, and did not let it in as far as can be seen, ended in 60 s" 0.0 "kdd:num_failed_logins";
    PairFailedLogins60s "pair_failed_logins_60s" "count" "connections of the source to FTP, SSH or Telnet of this host in which it was seen to fail to log in, ended in 60 s" 0.0 "kdd:num_failed_logins";
    PairRefusedLogins60s "pair_refused_logins_60s" "count" "log-ins of the source that SSH, FTP, Telnet, SMB, MQTT or the web (not encrypted) of this host refused in 60 s, less those that it accepted" 0.0 "kdd:num_failed_logins";
    // peers: what was done to the destination lately, by everybody
    DstFlows2s "dst_flows_2s" "count" "flows to the destination host in 2 s" 0.0 "kdd:dst_host_count";
    DstSources2s "dst_sources_2s" "count" "distinct sources of flows to the destination host in 2 s" 0.0 "";
    DstServiceFlows2s "dst_service_flows_2s" "count" "flows to the destination port in 2 s" 0.0 "kdd:srv_count";
    DstServiceUnfinished2s "dst_service_unfinished_share_2s" "share" "share of the TCP flows to the destination port in 2 s without a completed handshake" 0.0 "kdd:srv_serror_rate";
    DstServiceFlows60s "dst_service_flows_60s" "count" "flows to the destination port in 60 s" 0.0 "kdd:dst_host_srv_count";
    DstServiceSources60s "dst_service_sources_60s" "count" "distinct sources of flows to the destination port in 60 s" 0.0 "";
    // peers: what the source asked the destination for in vain
    PairMissing60s "pair_missing_60s" "count" "requests of the source for what the web (not encrypted) of this host has not, in 60 s, less those that it served" 0.0 "";
    // peers: what the source may carry out
    SrcLongNames60s "src_long_names_60s" "count" "distinct names with a label of 24 bytes or more, below the domain asked about last, for whose records that carry data (TXT, NULL, CNAME and the like) the source asked in 60 s" 0.0 "";
    PairResizedPings60s "pair_resized_pings_60s" "count" "pings of the source to this host in 60 s that were of another size than the one before" 0.0 "";
    PairPingSizes60s "pair_ping_sizes_60s" "count" "distinct sizes of those pings" 0.0 "";
    // peers: how the source tells systems apart
    SrcOddProbes60s "src_odd_probes_60s" "count" "flows of the source in 60 s in which it sent a packet that no program in use sends: TCP with a combination of flags that no connection uses, a ping with a code, a question for information or an address mask; 0 for a flow without one" 0.0 "";
}

/// Fingerprint of names, units, meanings and undefined values in their order: a model is for exactly one schema.
/// FNV-1a, 64 bits (draft-eastlake-fnv).
pub const SCHEMA_HASH: u64 = {
    let mut hash = FNV_OFFSET;
    let mut at = 0;
    while at < FEATURES.len() {
        let feature = &FEATURES[at];
        hash = fnv1a(hash, feature.name.as_bytes());
        hash = fnv1a(hash, feature.unit.as_bytes());
        hash = fnv1a(hash, feature.meaning.as_bytes());
        hash = fnv1a(hash, &feature.undefined.to_bits().to_le_bytes());
        at += 1;
    }
    hash
};

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

const fn fnv1a(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    // A separator, so that moving a letter from one text to the next changes the hash.
    (hash ^ 0xff).wrapping_mul(0x0000_0100_0000_01b3)
}

/// [`SCHEMA_HASH`] as it stands in model files and reports: 16 hexadecimal digits.
#[must_use]
pub fn schema_hash_text() -> String {
    format!("{SCHEMA_HASH:016x}")
}

/// The place of the feature of that name.
#[must_use]
pub fn index_of(name: &str) -> Option<usize> {
    FEATURES.iter().position(|feature| feature.name == name)
}
