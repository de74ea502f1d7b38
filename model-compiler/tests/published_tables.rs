//! The published tables themselves, where they are: in the folder in `SLUICE_DATA`, else unpacked from `../shared/data`. The
//! files of UNSW-NB15's official split are not among them: small ones in their form stand for them.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use model_compiler::datasets::faults::OnFault;
use model_compiler::datasets::table::Table;
use model_compiler::datasets::{Form, nsl_kdd, read};
use model_compiler::protocols::{self, MethodResult, Protocol, ProtocolError};
use model_compiler::shares::Share;

/// The folder with the tables. `None`, and a line that says so, where there is no data. What is unpacked stays below
/// target/, so that it is done once.
fn flows() -> Option<&'static Path> {
    static FLOWS: OnceLock<Option<PathBuf>> = OnceLock::new();
    FLOWS.get_or_init(find).as_deref()
}

fn find() -> Option<PathBuf> {
    if let Some(data) = std::env::var_os("SLUICE_DATA") {
        return Some(Path::new(&data).join("labelled/flows"));
    }
    let unpack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/unpack");
    if !unpack.is_file() {
        println!("skipped: the flow tables are not there (set SLUICE_DATA, or have ../shared/data/unpack)");
        return None;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flow-tables");
    assert!(Command::new(unpack).arg(&target).status().unwrap().success(), "unpacking the data");
    Some(target.join("labelled/flows"))
}

fn whole(form: Form, path: &Path) -> Table {
    read(form, path, None, OnFault::default(), None).unwrap()
}

fn count(table: &Table, label: &str) -> usize {
    (0..table.len()).filter(|&row| table.label(row) == label).count()
}

#[test]
fn nsl_kdd_is_whole() {
    let Some(flows) = flows() else { return };
    for (name, rows, normal) in
        [("KDDTrain+", 125_973, 67_343), ("KDDTest+", 22_544, 9_711), ("KDDTest-21", 11_850, 2_152)]
    {
        let table = whole(Form::NslKdd, &flows.join(format!("nsl-kdd/{name}.txt")));
        assert_eq!((table.len(), count(&table, "normal"), table.faults.columns.len()), (rows, normal, 0), "{name}");
        assert!(table.labels.iter().all(|label| nsl_kdd::category(label).is_some()));
    }
}

#[test]
fn the_other_tables_are_read_without_faults_that_they_do_not_have() {
    let Some(flows) = flows() else { return };
    let unsw = whole(Form::UnswNb15, &flows.join("unsw-nb15/UNSW_NB15_82332_train80.csv"));
    assert_eq!((unsw.len(), unsw.columns.len(), count(&unsw, "Normal")), (66_007, 42, 29_720));
    let cicids = whole(Form::Cicids2017, &flows.join("cicids2017-improved/cicids2017_improved_sample_train80.csv"));
    assert_eq!((cicids.len(), cicids.columns.len(), count(&cicids, "BENIGN")), (45_072, 83, 6_036));
    assert!(unsw.faults.columns.is_empty() && cicids.faults.columns.is_empty());

    let zeek = whole(Form::Zeek, &flows.join("stratosphere-zeek/008-zeek-mixed/conn.log.labeled"));
    assert_eq!((zeek.faults.rows_read, zeek.faults.rows_left_out), (5_663, 155));
    assert!(zeek.faults.columns.iter().all(|fault| fault.count == 155), "{}", zeek.faults);
}

fn method<'a>(protocol: &'a Protocol, trial: &str, method: &str) -> &'a MethodResult {
    let trial = protocol.trials.iter().find(|candidate| candidate.title == trial).unwrap();
    trial.results.iter().find(|result| result.method == method).unwrap()
}

#[test]
fn the_official_protocol_of_nsl_kdd_gives_what_scikit_learn_gives() {
    let Some(flows) = flows() else { return };
    let protocol = protocols::nsl_kdd(&flows.join("nsl-kdd")).unwrap();
    // What scikit-learn 1.9.1 gives on the same columns: the comparison exactly; the trees over 8 to 26 seeds, which
    // break ties between comparisons that are worth the same, with a percentage point of room for other ways to do so.
    for (name, low, high) in [
        ("one comparison", 0.799_85, 0.799_95),
        ("Gini tree, depth 6", 0.756_9, 0.792_6),
        ("entropy tree, depth 6", 0.797_0, 0.826_8),
        ("Gini tree, depth 12", 0.752_1, 0.794_0),
        ("entropy tree, depth 12", 0.775_1, 0.824_8),
    ] {
        let accuracy = method(&protocol, "2 classes, KDDTest+", name).accuracy.unwrap();
        assert!((low..high).contains(&accuracy.value), "{name}: {accuracy}");
    }
    let majority = method(&protocol, "2 classes, KDDTest+", "majority class");
    assert_eq!(majority.accuracy.unwrap().value, 9_711.0 / 22_544.0);
    assert_eq!(protocol.trials.len(), 4, "two tasks on two files");
}

#[test]
fn what_is_not_the_official_split_says_so() {
    let Some(flows) = flows() else { return };
    let protocol = protocols::unsw_nb15(&flows.join("unsw-nb15")).unwrap();
    let told = protocol.to_string();
    assert!(told.contains("NOT THE OFFICIAL SPLIT") && told.contains("sttl, dttl, ct_state_ttl"), "{told}");
    let [stump, tree] = ["one comparison", "Gini tree, depth 12"]
        .map(|name| method(&protocol, "2 classes, rows not trained on", name).accuracy.unwrap().value);
    assert!(stump < 0.75 && tree > 0.9, "stump {stump}, tree {tree}");
}

/// The columns of both files of UNSW-NB15's official split.
const UNSW_COLUMNS: &str = "id,dur,proto,service,state,spkts,dpkts,sbytes,dbytes,rate,sttl,dttl,sload,dload,sloss,dloss,sinpkt,\
    dinpkt,sjit,djit,swin,stcpb,dtcpb,dwin,tcprtt,synack,ackdat,smean,dmean,trans_depth,response_body_len,ct_srv_src,\
    ct_state_ttl,ct_dst_ltm,ct_src_dport_ltm,ct_dst_sport_ltm,ct_dst_src_ltm,is_ftp_login,ct_ftp_cmd,ct_flw_http_mthd,\
    ct_src_ltm,ct_srv_dst,is_sm_ips_ports,attack_cat,label";

/// A small file of that form. Of ten flows the first ones are attacks, and the last one is harmless but as fast as an attack:
/// the rate is right about nine of ten, the time to live about all. Other columns repeat every seven rows and tell nothing.
struct SmallUnsw {
    columns: &'static str,
    rows: usize,
    attacks_of_ten: usize,
    /// The state of every seventh flow.
    seventh_state: &'static str,
    /// Attacks have the label of harmless flows, and these that of an attack.
    is_inverted: bool,
}

impl SmallUnsw {
    const TRAIN: Self =
        Self { columns: UNSW_COLUMNS, rows: 700, attacks_of_ten: 6, seventh_state: "CON", is_inverted: false };
    const TEST: Self = Self { rows: 350, attacks_of_ten: 4, seventh_state: "ACC", ..Self::TRAIN };

    fn cell(&self, row: usize, at: usize, column: &str) -> String {
        let is_attack = row % 10 < self.attacks_of_ten;
        let is_labelled = is_attack != self.is_inverted;
        let idle = (row + at) % 7;
        let word = match column {
            "proto" => ["tcp", "udp"][idle % 2],
            "service" => ["-", "dns", "http"][idle % 3],
            "state" if row % 7 == 6 => self.seventh_state,
            "state" => ["FIN", "INT"][idle % 2],
            "attack_cat" if is_labelled => ["Generic", "Exploits"][idle % 2],
            "attack_cat" => "Normal",
            "rate" => return format!("{}.5", idle + if is_attack || row % 10 == 9 { 1_000 } else { 10 }),
            "sttl" => ["31", "254"][usize::from(is_attack)],
            "label" => ["0", "1"][usize::from(is_labelled)],
            "id" => return (row + 1).to_string(),
            _ => return idle.to_string(),
        };
        word.to_owned()
    }

    /// With the byte order mark that the published files begin with.
    fn write(&self, path: &Path) {
        let columns: Vec<&str> = self.columns.split(',').collect();
        let mut text = format!("\u{feff}{}\n", self.columns);
        for row in 0..self.rows {
            let cells = columns.iter().enumerate().map(|(at, column)| self.cell(row, at, column));
            text += &(cells.collect::<Vec<_>>().join(",") + "\n");
        }
        fs::write(path, text).unwrap();
    }
}

/// The protocol of UNSW-NB15 on these small files.
fn small_unsw(name: &str, files: &[(&str, SmallUnsw)]) -> Result<Protocol, ProtocolError> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("unsw-nb15-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    files.iter().for_each(|(name, file)| file.write(&folder.join(name)));
    let protocol = protocols::unsw_nb15(&folder);
    fs::remove_dir_all(&folder).unwrap();
    protocol
}

const TRAIN_FILE: &str = "UNSW_NB15_training-set.csv";
const TEST_FILE: &str = "UNSW_NB15_testing-set.csv";
const ALL_COLUMNS: &str = "2 classes, official test file, all 42 columns";
const WITHOUT_TTL: &str = "2 classes, official test file, without the time to live";

/// What the methods that compare anything are right about.
fn accuracies(protocol: &Protocol, trial: &str) -> Vec<f64> {
    let names = [
        "one comparison",
        "Gini tree, depth 6",
        "entropy tree, depth 6",
        "Gini tree, depth 12",
        "entropy tree, depth 12",
    ];
    names.map(|name| method(protocol, trial, name).accuracy.unwrap().value).to_vec()
}

#[test]
fn the_official_split_of_unsw_nb15_is_measured_with_the_time_to_live_and_without() {
    let protocol = small_unsw("official", &[(TRAIN_FILE, SmallUnsw::TRAIN), (TEST_FILE, SmallUnsw::TEST)]).unwrap();
    assert_eq!(protocol.title, "UNSW-NB15, official split");
    let trials: Vec<&str> = protocol.trials.iter().map(|trial| trial.title.as_str()).collect();
    assert_eq!(trials, [ALL_COLUMNS, WITHOUT_TTL]);
    for trial in &protocol.trials {
        assert_eq!(
            (&trial.trained_on[..], &trial.tested_on[..]),
            (&[280, 420][..], &[210, 140][..]),
            "{}",
            trial.title
        );
        // Most rows of the train file are attacks, and so all of the test file are called one.
        let majority = method(&protocol, &trial.title, "majority class");
        assert_eq!(majority.accuracy.unwrap().value, 140.0 / 350.0, "{}", trial.title);
    }
    assert_eq!(accuracies(&protocol, ALL_COLUMNS), [1.0; 5], "by the time to live");
    assert_eq!(accuracies(&protocol, WITHOUT_TTL), [0.9; 5], "by the rate");
    let by_rate = method(&protocol, WITHOUT_TTL, "one comparison");
    let value = |share: Option<Share>| share.unwrap().value;
    assert_eq!((value(by_rate.false_positive_rate), value(by_rate.detection_rate)), (35.0 / 210.0, 1.0));
}

#[test]
fn the_official_split_of_unsw_nb15_is_tested_on_the_test_file() {
    let test = SmallUnsw { is_inverted: true, ..SmallUnsw::TEST };
    let inverted = small_unsw("inverted", &[(TRAIN_FILE, SmallUnsw::TRAIN), (TEST_FILE, test)]).unwrap();
    assert_eq!(accuracies(&inverted, ALL_COLUMNS), [0.0; 5]);
    assert_eq!(accuracies(&inverted, WITHOUT_TTL), [0.1; 5]);
    assert_eq!(inverted.trials[0].tested_on, [140, 210]);
}

#[test]
fn a_test_file_of_unsw_nb15_with_other_columns_is_refused_by_the_first_of_them() {
    let refusal = |columns| {
        let test = SmallUnsw { columns, ..SmallUnsw::TEST };
        small_unsw("columns", &[(TRAIN_FILE, SmallUnsw::TRAIN), (TEST_FILE, test)]).unwrap_err().to_string()
    };
    let swapped = refusal("id,dur,proto,service,state,dpkts,spkts,attack_cat,label");
    assert!(
        swapped.contains("official test file, all 42 columns has dpkts where the train file has spkts"),
        "{swapped}"
    );
    let short = refusal("id,dur,proto,service,state,spkts,attack_cat,label");
    assert!(short.contains("has no more where the train file has dpkts"), "{short}");
}

#[test]
fn the_official_split_of_unsw_nb15_says_what_a_reader_must_know() {
    let protocol = small_unsw("notes", &[(TRAIN_FILE, SmallUnsw::TRAIN), (TEST_FILE, SmallUnsw::TEST)]).unwrap();
    for note in [
        "train file: 700 rows read, 0 left out",
        // Words get their numbers from the train file: what only the test file has is no word there.
        "test file: 350 rows read, 0 left out, 0 with a value filled in\n  state: 50 x ",
        "UNSW_NB15_training-set.csv does not have the 175341 rows",
        "UNSW_NB15_testing-set.csv does not have the 82332 rows",
        "has no sttl, dttl, ct_state_ttl: these give the label away",
    ] {
        assert!(protocol.notes.iter().any(|line| line.contains(note)), "{note}: {:?}", protocol.notes);
    }
    assert!(protocol.published.iter().any(|line| line.contains("official split, all 42 columns")));
    assert!(!protocol.to_string().contains("NOT THE OFFICIAL SPLIT"));
}

#[test]
fn one_file_of_the_official_split_of_unsw_nb15_is_no_split() {
    let refusal = small_unsw("half", &[(TRAIN_FILE, SmallUnsw::TRAIN)]).unwrap_err().to_string();
    assert!(refusal.contains(&format!("{TRAIN_FILE} and {TEST_FILE}")), "{refusal}");
}
