//! Tables of flows in each form: what is read, and what is said about values that are none.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use model_compiler::datasets::faults::{Fault, OnFault, Remedy};
use model_compiler::datasets::table::{Column, Table};
use model_compiler::datasets::{DatasetError, Form, nsl_kdd, read};
use model_compiler::rows::{Capture, Row, Rows};
use traffic::features::{FEATURE_COUNT, FEATURES};

/// A file with this content, removed when dropped.
struct Sample(PathBuf);

impl Sample {
    fn new(content: impl AsRef<[u8]>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("sample-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn table(form: Form, content: impl AsRef<[u8]>) -> Table {
    read(form, &Sample::new(content).0, None, OnFault::default(), None).unwrap()
}

fn refusal(form: Form, content: &str) -> String {
    read(form, &Sample::new(content).0, None, OnFault::default(), None).unwrap_err().to_string()
}

fn names(table: &Table) -> Vec<&str> {
    table.columns.iter().map(|column| column.name.as_str()).collect()
}

/// Column, fault, count and lines of everything that was wrong.
fn faults(table: &Table) -> Vec<(&str, Fault, u64, Vec<u64>)> {
    let columns = table.faults.columns.iter();
    columns.map(|fault| (fault.column.as_str(), fault.fault, fault.count, fault.lines.clone())).collect()
}

/// A row of NSL-KDD with these words and values in the first six columns.
fn nsl_row(beginning: &str, label: &str) -> String {
    format!("{beginning},{}{label},20\n", "0,".repeat(35))
}

#[test]
fn nsl_kdd_is_read_by_position() {
    let text = nsl_row("7,tcp,http,SF,215,45076", "normal")
        + &nsl_row("0,udp,domain_u,SF,44,0", "nmap")
        + &nsl_row("0,icmp,eco_i,SF,8,0", "ipsweep");
    let table = table(Form::NslKdd, text);
    assert_eq!((table.len(), table.columns.len()), (3, 41));
    assert_eq!(names(&table), nsl_kdd::FEATURES);
    // Words are numbered in the order of the alphabet: icmp, tcp, udp.
    assert_eq!(table.row(0)[..6], [7.0, 1.0, 2.0, 0.0, 215.0, 45_076.0]);
    assert_eq!(table.column(1).collect::<Vec<_>>(), [1.0, 2.0, 0.0]);
    assert_eq!((table.label(0), table.label(1), table.label(2)), ("normal", "nmap", "ipsweep"));
    assert_eq!(faults(&table), []);
}

#[test]
fn every_label_of_nsl_kdd_has_one_category() {
    let expected = [("normal", 0), ("neptune", 1), ("mailbomb", 1), ("saint", 2), ("guess_passwd", 3), ("perl", 4)];
    for (label, category) in expected {
        assert_eq!(nsl_kdd::category(label), Some(category), "{label}");
    }
    assert_eq!(nsl_kdd::category("ransomware"), None);
}

/// Seven rows, of which the first and the last are in order.
fn faulty() -> Sample {
    let rows = [
        nsl_row("0,tcp,http,SF,1,2", "normal"),
        nsl_row(",tcp,http,SF,?,2", "normal"),
        nsl_row("0,tcp,http,SF,1e39,2", "normal"),
        nsl_row("0,tcp,http,SF,-Infinity,2", "normal"),
        nsl_row("0,tcp,http,SF,1,2x", "normal"),
        "0,tcp,http\n".to_owned(),
        nsl_row("0,tcp,http,SF,1,2", "ransomware"),
        nsl_row("0,udp,dns,SF,1,2", "nmap"),
    ];
    Sample::new(rows.concat())
}

#[test]
fn faulty_values_are_counted_by_column_and_line_and_their_rows_left_out() {
    let table = read(Form::NslKdd, &faulty().0, None, OnFault::default(), None).unwrap();
    assert_eq!(table.lines, [1, 8]);
    assert_eq!((table.faults.rows_read, table.faults.rows_left_out, table.faults.rows_filled), (8, 6, 0));
    let expected = [
        ("duration", Fault::Missing, 1, vec![2]),
        ("src_bytes", Fault::Missing, 1, vec![2]),
        ("src_bytes", Fault::Infinite, 2, vec![3, 4]),
        ("dst_bytes", Fault::Malformed, 1, vec![5]),
        ("label", Fault::Label, 1, vec![7]),
        ("the row", Fault::Length, 1, vec![6]),
    ];
    assert_eq!(faults(&table), expected);
    let told = table.faults.to_string();
    assert!(told.contains("8 rows read, 6 left out") && told.contains("src_bytes: 2 x infinite, lines 3, 4"), "{told}");
}

#[test]
fn the_caller_says_what_stands_for_a_faulty_value() {
    let on_fault = OnFault { missing: Remedy::Fill(-1.0), infinite: Remedy::Fill(9.0), malformed: Remedy::LeaveOut };
    let table = read(Form::NslKdd, &faulty().0, None, on_fault, None).unwrap();
    assert_eq!(table.lines, [1, 2, 3, 4, 8]);
    assert_eq!((table.faults.rows_left_out, table.faults.rows_filled), (3, 3));
    assert_eq!([table.row(1)[0], table.row(1)[4], table.row(2)[4], table.row(3)[4]], [-1.0, -1.0, 9.0, 9.0]);
    assert_eq!(faults(&table).len(), 6, "what is filled in is counted all the same");
}

#[test]
fn the_caller_may_refuse_the_whole_table() {
    let refused = |on_fault| read(Form::NslKdd, &faulty().0, None, on_fault, None).unwrap_err().to_string();
    let missing = refused(OnFault { missing: Remedy::Refuse, ..OnFault::default() });
    assert!(missing.contains("line 2: duration is missing"), "{missing}");
    let malformed = refused(OnFault { malformed: Remedy::Refuse, ..OnFault::default() });
    assert!(malformed.contains("line 5: dst_bytes is malformed: \"2x\""), "{malformed}");
}

#[test]
fn remedies_have_words() {
    assert_eq!("leave-out".parse(), Ok(Remedy::LeaveOut));
    assert_eq!("refuse".parse(), Ok(Remedy::Refuse));
    assert_eq!("-1".parse(), Ok(Remedy::Fill(-1.0)));
    for no_remedy in ["inf", "NaN", "drop", ""] {
        assert!(no_remedy.parse::<Remedy>().is_err(), "{no_remedy}");
    }
}

#[test]
fn the_codes_of_words_do_not_hang_on_the_order_of_rows() {
    let rows =
        ["tcp,http", "udp,dns", "tcp,ssh", "icmp,eco_i"].map(|words| nsl_row(&format!("0,{words},SF,1,1"), "normal"));
    let forwards = table(Form::NslKdd, rows.concat());
    let backwards = table(Form::NslKdd, rows.iter().rev().cloned().collect::<String>());
    assert_eq!(forwards.columns, backwards.columns);
    for row in 0..4 {
        assert_eq!(forwards.row(row), backwards.row(3 - row));
    }
}

#[test]
fn words_that_the_earlier_table_does_not_have_are_unknown_and_counted() {
    let train = table(Form::NslKdd, nsl_row("0,udp,ssh,SF,1,1", "normal") + &nsl_row("0,tcp,http,SF,1,1", "normal"));
    let test = Sample::new(nsl_row("0,tcp,gopher,SF,1,1", "normal") + &nsl_row("0,udp,ssh,SF,1,1", "nmap"));
    let test = read(Form::NslKdd, &test.0, None, OnFault::default(), Some(&train.columns)).unwrap();
    assert_eq!(test.columns, train.columns);
    assert_eq!(
        (test.column(1).collect::<Vec<_>>(), test.column(2).collect::<Vec<_>>()),
        (vec![0.0, 1.0], vec![-1.0, 1.0])
    );
    assert_eq!(faults(&test), [("service", Fault::UnknownWord, 1, vec![1])]);
    assert_eq!(test.faults.rows_left_out, 0);
}

#[test]
fn a_missing_word_that_is_filled_in_is_no_other_word() {
    let text = nsl_row("0,tcp,http,SF,1,1", "normal") + &nsl_row("0,,http,SF,1,1", "normal");
    let on_fault = OnFault { missing: Remedy::Fill(0.0), ..OnFault::default() };
    let table = read(Form::NslKdd, &Sample::new(text).0, None, on_fault, None).unwrap();
    assert_eq!(table.column(1).collect::<Vec<_>>(), [0.0, -1.0]);
}

#[test]
fn unsw_nb15_is_read_by_its_header_and_its_two_labels_must_agree() {
    let table = table(
        Form::UnswNb15,
        "\u{feff}id,dur,proto,service,state,sttl,attack_cat,label\n\
         1,0.5,tcp,-,FIN,31,Normal,0\n\
         2,0.25,udp,dns,INT,254,Generic,1\n\
         3,1,udp,dns,INT,254,Generic,0\n\
         4,1,udp,dns,INT,254,Normal,1\n",
    );
    assert_eq!(names(&table), ["dur", "proto", "service", "state", "sttl"]);
    assert_eq!((table.label(0), table.label(1)), ("Normal", "Generic"));
    // The dash is a service of its own: none was recognised.
    assert_eq!(
        table.columns[2],
        Column { name: "service".to_owned(), words: Some(vec!["-".to_owned(), "dns".to_owned()]) }
    );
    assert_eq!(faults(&table), [("attack_cat", Fault::Label, 2, vec![4, 5])]);
    let without = table.without(&["sttl", "no such column"]);
    assert_eq!(
        (names(&without), without.row(1)),
        (vec!["dur", "proto", "service", "state"], [0.25, 1.0, 1.0, 1.0].as_slice())
    );
    assert!(refusal(Form::UnswNb15, "id,dur\n1,2\n").contains("attack_cat"));
}

#[test]
fn both_forms_of_cicids2017_have_the_same_columns() {
    let mut published = b"Flow ID, Source IP, Destination Port, Total Fwd Packets, Fwd Header Length,Flow Bytes/s, Fwd Header Length, Label\n\
        a,192.0.2.1,80,3,60,1.5,60,BENIGN\n\
        b,192.0.2.1,80,1,20,Infinity,20,BENIGN\n\
        c,192.0.2.1,80,1,20,NaN,20,BENIGN\n\
        d,192.0.2.1,80,2,40,2.5,40,Web Attack "
        .to_vec();
    published.extend(b"\x96 XSS\n");
    let published = table(Form::Cicids2017, published);
    assert_eq!(names(&published), ["Dst Port", "Total Fwd Packet", "Fwd Header Length", "Flow Bytes/s"]);
    assert_eq!((published.label(0), published.label(1)), ("BENIGN", "Web Attack - XSS"));
    assert_eq!(published.row(1), [80.0, 2.0, 40.0, 2.5]);
    let expected = [("Flow Bytes/s", Fault::Missing, 1, vec![4]), ("Flow Bytes/s", Fault::Infinite, 1, vec![3])];
    assert_eq!(faults(&published), expected);

    let improved = table(
        Form::Cicids2017,
        "id,Flow ID,Src IP,Src Port,Dst Port,Timestamp,Total Fwd Packet,Fwd Header Length,Flow Bytes/s,Label,Attempted Category\n\
         1,a,192.0.2.1,1024,80,2017-07-06 12:39:06,3,60,1.5,Botnet - Attempted,2\n",
    );
    assert_eq!(names(&improved), names(&published));
    assert_eq!((improved.label(0), improved.row(0)), ("Botnet - Attempted", [80.0, 3.0, 60.0, 1.5].as_slice()));
}

const ZEEK_FIELDS: &str = "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\tmissed_bytes\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes";

fn zeek(label_columns: &str, rows: &[&str]) -> String {
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let (duration, label) = row.split_once(' ').unwrap();
            format!("1.5\tC1\t192.0.2.1\t1024\t198.51.100.2\t23\ttcp\t-\t{duration}\t{duration}\t0\tS0\t0\t2\t80\t0\t0\t{label}")
        })
        .collect();
    let head = format!("#separator \\x09\n#unset_field\t-\n{ZEEK_FIELDS}\t{label_columns}\n#types\ttime\n");
    format!("{head}{}\n#close\t2022-06-18\n", lines.join("\n"))
}

#[test]
fn a_conn_log_is_read_by_the_names_in_its_header() {
    let text = zeek("label\tdetailedlabel", &["0.5 Malicious\tScan", "- Malicious\tScan", "1 -\t-", "2 Benign\t-"]);
    let table = table(Form::Zeek, text);
    assert_eq!((table.label(0), table.label(1), table.len()), ("Malicious", "Benign", 2));
    assert_eq!(table.lines, [5, 8]);
    assert_eq!(table.row(0), [23.0, 0.5, 0.5, 0.0, 0.0, 2.0, 80.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert!(names(&table).iter().all(|name| !name.contains("_h") && *name != "ts"));
    let expected = [
        ("duration", Fault::Missing, 1, vec![6]),
        ("orig_bytes", Fault::Missing, 1, vec![6]),
        ("label", Fault::Label, 1, vec![7]),
    ];
    assert_eq!(faults(&table), expected);
}

#[test]
fn a_conn_log_of_iot_23_has_spaces_before_its_labels() {
    let text = zeek("tunnel_parents   label   detailed-label", &["1 -   Malicious   Attack", "1 (empty)   Benign   -"]);
    let table = table(Form::Zeek, text);
    assert_eq!((table.label(0), table.label(1)), ("Malicious", "Benign"));
}

#[test]
fn a_conn_log_without_labels_or_header_is_refused() {
    assert!(refusal(Form::Zeek, &zeek("history", &["1 S"])).contains("\"label\""));
    assert!(refusal(Form::Zeek, "{\"ts\":1.5}\n").contains("header"));
}

const MAPPING: &str = r#"
delimiter = ";"
columns = ["begin", "td", "pr", "bytes", "tag"]
[label]
column = "tag"
[label.classes]
benign = ["normal", "0"]
scan = ["portscan"]
[[feature]]
name = "duration_s"
column = "td"
factor = 0.001
[[feature]]
name = "bytes"
[[feature]]
name = "protocol"
column = "pr"
words = ["UDP", "TCP"]
"#;

fn mapped(mapping: &str, content: &str) -> Result<Table, DatasetError> {
    let (mapping, content) = (Sample::new(mapping), Sample::new(content));
    read(Form::Mapped, &content.0, Some(&mapping.0), OnFault::default(), None)
}

#[test]
fn a_mapping_says_what_the_columns_of_netflow_are() {
    let text = "x;1500;TCP;40;portscan\nx;20;UDP;60;0\nx;20;SCTP;60;normal\nx;20;TCP;60;worm\nx;a;TCP;60;0\n";
    let table = mapped(MAPPING, text).unwrap();
    assert_eq!(names(&table), ["duration_s", "bytes", "protocol"]);
    assert_eq!((table.row(0), table.row(1)), ([1.5, 40.0, 1.0].as_slice(), [0.02, 60.0, 0.0].as_slice()));
    assert_eq!((table.label(0), table.label(1), table.label(2)), ("scan", "benign", "benign"));
    let expected = [
        ("duration_s", Fault::Malformed, 1, vec![5]),
        ("protocol", Fault::UnknownWord, 1, vec![3]),
        ("tag", Fault::Label, 1, vec![4]),
    ];
    assert_eq!(faults(&table), expected);
}

#[test]
fn a_mapping_with_a_header_and_open_words() {
    let mapping = MAPPING
        .replace("columns = [\"begin\", \"td\", \"pr\", \"bytes\", \"tag\"]", "")
        .replace("[\"UDP\", \"TCP\"]", "[]");
    let table = mapped(&mapping, " tag ;pr;td;bytes\n0;SCTP;1;2\n0;ICMP;1;2\n").unwrap();
    assert_eq!(table.column(2).collect::<Vec<_>>(), [1.0, 0.0]);
    assert!(mapped(&mapping, "tag;pr;bytes\n").unwrap_err().to_string().contains("\"td\""));
}

#[test]
fn mappings_that_contradict_themselves_are_refused() {
    for (from, to) in [
        ("\"portscan\"", "\"normal\""),
        ("factor = 0.001", "factor = 0"),
        ("factor = 0.001", "faktor = 0.001"),
        ("\";\"", "\";;\""),
        ("name = \"bytes\"", "name = \"duration_s\""),
        ("words = [\"UDP\", \"TCP\"]", "words = []\nfactor = 2"),
    ] {
        let refusal = mapped(&MAPPING.replace(from, to), "").unwrap_err();
        assert!(matches!(refusal, DatasetError::Mapping { .. }), "{to}: {refusal}");
    }
    let without = read(Form::Mapped, &Sample::new("").0, None, OnFault::default(), None);
    assert!(matches!(without, Err(DatasetError::MappingWithoutForm)));
}

#[test]
fn lines_are_counted_as_editors_do() {
    let rows = ["0,tcp,http,SF,1,2", "", "x,tcp,http,SF,1,2", "0,tcp,http,SF,1,2"];
    for end in ["\n", "\r\n"] {
        let text: String = rows
            .iter()
            .map(|row| if row.is_empty() { end.to_owned() } else { nsl_row(row, "normal").replace('\n', end) })
            .collect();
        let table = table(Form::NslKdd, text);
        assert_eq!(
            (table.lines.as_slice(), faults(&table)[0].3.as_slice()),
            ([1, 4].as_slice(), [3].as_slice()),
            "{end:?}"
        );
    }
}

/// A thousand rows, of which `broken` have a quotation mark in place of their first byte: what is read, and what is wrong.
fn with_quotation_marks(row: &str, broken: &[usize], read: impl Fn(&str) -> Table) {
    let spoilt = format!("\"{}", &row[1..]);
    let text: String = (1..=1000).map(|line| if broken.contains(&line) { spoilt.as_str() } else { row }).collect();
    let table = read(&text);
    let kept: Vec<u64> = (1..=1000).filter(|line| !broken.contains(line)).map(|line| line as u64).collect();
    assert_eq!(table.lines, kept);
    let broken: Vec<u64> = broken.iter().map(|line| *line as u64).collect();
    assert_eq!((table.faults.rows_read, table.faults.rows_left_out), (1000, broken.len() as u64));
    assert_eq!(faults(&table), [("the row", Fault::Unclosed, broken.len() as u64, broken)]);
}

#[test]
fn a_quotation_mark_that_nothing_closes_spoils_its_own_line_only() {
    for broken in [vec![105], vec![1], vec![1000], vec![7, 900], vec![7, 8, 9]] {
        with_quotation_marks(&nsl_row("0,tcp,http,SF,1,2", "normal"), &broken, |text| table(Form::NslKdd, text));
        with_quotation_marks("x;20;TCP;60;0\n", &broken, |text| mapped(MAPPING, text).unwrap());
    }
    let quoted = mapped(MAPPING, "\"a;b\";20;\"TCP\";60;\"0\"\n\"\"\"x\";20;TCP;60;0").unwrap();
    assert_eq!((quoted.len(), faults(&quoted)), (2, Vec::new()), "marks that are closed are no fault");
}

#[test]
fn a_record_of_two_lines_is_refused_like_malformed_values() {
    let text = "x;20;TCP;60;0\nx;20;\"T\nCP\";60;0\nx;20;TCP;60;0\n";
    let table = mapped(MAPPING, text).unwrap();
    assert_eq!(table.lines, [1, 4]);
    assert_eq!(faults(&table), [("the row", Fault::Length, 1, vec![3]), ("the row", Fault::Unclosed, 1, vec![2])]);
    let (mapping, content) = (Sample::new(MAPPING), Sample::new(text));
    let on_fault = OnFault { malformed: Remedy::Refuse, ..OnFault::default() };
    let refused = read(Form::Mapped, &content.0, Some(&mapping.0), on_fault, None).unwrap_err().to_string();
    assert!(refused.contains("line 2: the row is cut short by a quotation mark"), "{refused}");
    let header = refusal(Form::UnswNb15, "id,\"dur,proto,attack_cat,label\n1,0.1,tcp,Normal,0\n");
    assert!(header.contains("the header has a quotation mark"), "{header}");
}

#[test]
fn our_own_rows_become_a_table_with_the_classes_of_the_caller() {
    let mut rows = Rows::default();
    rows.captures.push(Capture { name: "a.pcap".to_owned(), source: "someone".to_owned() });
    for (label, value) in
        [("sweep", 1.0), ("benign", 2.0), ("other", 3.0), ("portscan", f32::NAN), ("benign", f32::INFINITY)]
    {
        let label = rows.label(label);
        let mut features = [0.0; FEATURE_COUNT];
        features[1] = value;
        rows.rows.push(Row { capture: 0, label, initiator: 0, flow: 0, packets: 1, features });
    }
    let class = |label: &str| match label {
        "benign" => Some("benign".to_owned()),
        "sweep" | "portscan" => Some("scan".to_owned()),
        _ => None,
    };
    let table = Table::of_rows(&rows, &class);
    assert_eq!((table.label(0), table.label(1), table.len()), ("scan", "benign", 2));
    assert_eq!(table.column(1).collect::<Vec<_>>(), [1.0, 2.0]);
    assert_eq!(table.lines, [3, 4]);
    let name = FEATURES[1].name;
    assert_eq!(faults(&table), [(name, Fault::Missing, 1, vec![6]), (name, Fault::Infinite, 1, vec![7])]);
    assert_eq!((table.faults.rows_read, table.faults.rows_left_out), (4, 2));
}
