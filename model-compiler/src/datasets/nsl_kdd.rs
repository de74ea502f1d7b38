//! NSL-KDD (Tavallaee, Bagheri, Lu, Ghorbani 2009): no header, 41 features, the name of the attack, and how many of 21
//! learners got the row right, which is no feature.

use std::path::Path;

use csv_core::ReaderBuilder;

use super::DatasetError;
use super::faults::OnFault;
use super::layout::{Kind, Layout, Source};
use super::reader::Lines;
use super::table::{Column, Table};

/// The features in the order of the file, as the KDD Cup 1999 named them.
pub const FEATURES: [&str; 41] = [
    "duration",
    "protocol_type",
    "service",
    "flag",
    "src_bytes",
    "dst_bytes",
    "land",
    "wrong_fragment",
    "urgent",
    "hot",
    "num_failed_logins",
    "logged_in",
    "num_compromised",
    "root_shell",
    "su_attempted",
    "num_root",
    "num_file_creations",
    "num_shells",
    "num_access_files",
    "num_outbound_cmds",
    "is_host_login",
    "is_guest_login",
    "count",
    "srv_count",
    "serror_rate",
    "srv_serror_rate",
    "rerror_rate",
    "srv_rerror_rate",
    "same_srv_rate",
    "diff_srv_rate",
    "srv_diff_host_rate",
    "dst_host_count",
    "dst_host_srv_count",
    "dst_host_same_srv_rate",
    "dst_host_diff_srv_rate",
    "dst_host_same_src_port_rate",
    "dst_host_srv_diff_host_rate",
    "dst_host_serror_rate",
    "dst_host_srv_serror_rate",
    "dst_host_rerror_rate",
    "dst_host_srv_rerror_rate",
];

/// The columns of words.
const WORDS: [&str; 3] = ["protocol_type", "service", "flag"];

/// The five classes of the KDD Cup, the harmless one first.
pub const CATEGORIES: [&str; 5] = ["normal", "dos", "probe", "r2l", "u2r"];

/// The attacks of each category, in the order of [`CATEGORIES`], as Dhanabal and Shantharajah (2015) group those of
/// NSL-KDD; with `mailbomb`, a flood of mail, among the denials of service, where the KDD Cup had it.
const ATTACKS: [&[&str]; 5] = [
    &["normal"],
    &["apache2", "back", "land", "mailbomb", "neptune", "pod", "processtable", "smurf", "teardrop", "udpstorm", "worm"],
    &["ipsweep", "mscan", "nmap", "portsweep", "saint", "satan"],
    &[
        "ftp_write",
        "guess_passwd",
        "httptunnel",
        "imap",
        "multihop",
        "named",
        "phf",
        "sendmail",
        "snmpgetattack",
        "snmpguess",
        "spy",
        "warezclient",
        "warezmaster",
        "xlock",
        "xsnoop",
    ],
    &["buffer_overflow", "loadmodule", "perl", "ps", "rootkit", "sqlattack", "xterm"],
];

/// The place in [`CATEGORIES`] of a label, if it is one of NSL-KDD's.
#[must_use]
pub fn category(label: &str) -> Option<usize> {
    ATTACKS.iter().position(|attacks| attacks.contains(&label))
}

/// Reads `KDDTrain+.txt` or a file like it. The labels are the names of the attacks, and `normal`.
///
/// # Errors
/// The file cannot be read, or holds what `on_fault` refuses.
pub fn read(path: &Path, on_fault: OnFault, known: Option<&[Column]>) -> Result<Table, DatasetError> {
    let source = |(at, name): (usize, &&str)| {
        let kind = if WORDS.contains(name) { Kind::Words(None) } else { Kind::PLAIN };
        Source { name: (*name).to_owned(), at, kind }
    };
    let layout = Layout {
        comment: None,
        cells: FEATURES.len() + 2,
        columns: FEATURES.iter().enumerate().map(source).collect(),
        label: "label".to_owned(),
        label_of: Box::new(|cells| {
            let label = &cells[FEATURES.len()];
            category(label).map(|_| label.to_string())
        }),
    };
    Lines::open(path, &ReaderBuilder::new())?.table(&layout, on_fault, known)
}
