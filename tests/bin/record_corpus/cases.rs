//! The small captures in `tests/captures/`: one folder each with `input.pcap`. Their README files say what they are for.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::attacks::{Flood, flood, nmap, run_tool, start_hydra, start_ncrack, word_list};
use lab::benign::{PingStream, look_up_names, ssh_by_key};
use lab::frames::{FILE_HEADER_LEN, Frame, read_pcap, tagged, write_pcap};
use lab::line::profile::LAN;
use lab::network::{GATEWAY, INTERNET, INTERNET_V6, LAN_HOST, NAME_SERVER};
use lab::process::run_within;
use lab::recording::Capture;
use lab::services;

use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Bytes kept of each frame: all headers, and the beginning of what they carry.
const SNAP: u32 = 128;

/// Most bytes of one capture, so that the repository stays small.
const MOST_BYTES: u64 = 100_000;

/// The VLAN of the tagged capture.
const VLAN: u16 = 7;

type Act = fn(&Scene) -> Result<()>;

/// Recorded as they happen: folder, what happens.
const RECORDED: &[(&str, Act)] = &[
    ("syn-scan", |s| nmap(&s.attackers[0].namespace, &format!("-sS -T4 -F {LAN_HOST}"), LIMIT).map(|_| ())),
    ("ssh-brute-force", |s| {
        start_hydra(&s.attackers[2].namespace, "ssh", LAN_HOST, 4, 40)?.finish(LIMIT);
        Ok(())
    }),
    // All guesses over one connection.
    ("smb-brute-force", |s| {
        let _server = services::samba(&s.network.lan)?;
        start_ncrack(&s.attackers[2].namespace, "smb", LAN_HOST, 1, 40)?.finish(LIMIT);
        Ok(())
    }),
    ("mqtt-brute-force", |s| {
        let _broker = services::mosquitto(&s.network.lan, LAN_HOST, false)?;
        start_ncrack(&s.attackers[2].namespace, "mqtt", LAN_HOST, 4, 40)?.finish(LIMIT);
        Ok(())
    }),
    ("http-brute-force", |s| {
        let page = format!("{LAN_HOST}/private/");
        start_hydra(&s.attackers[2].namespace, "http-get", &page, 2, 70)?.finish(LIMIT);
        Ok(())
    }),
    ("web-search", |s| {
        let words = word_list(240)?;
        let line = format!("gobuster dir -q -t 4 -u http://{LAN_HOST}/ -w {}", words.display());
        run_tool(&s.attackers[2].namespace, &line, LIMIT)
    }),
    ("syn-flood", |s| flood(&s.attackers[1].namespace, Flood::Syn(80), LAN_HOST, 460, 1_000, LIMIT).map(|_| ())),
    ("benign-pages", |s| (0..4).try_for_each(|number| small_page(s, INTERNET[number]))),
    ("benign-mix", mix),
    ("ipv6", |s| {
        let pings = PingStream::start(&s.network.lan, INTERNET_V6, 100)?;
        small_page(s, &format!("[{INTERNET_V6}]"))?;
        std::thread::sleep(Duration::from_secs(1));
        pings.stop().map(|_| ())
    }),
];

/// Records all of them into the folder.
pub fn record(folder: &Path) -> Result<()> {
    let scene = Scene::new(&LAN, 1)?;
    for (name, act) in RECORDED {
        let file = case_file(folder, name)?;
        let capture = Capture::start(&scene.network.r#box, "port0", &file, SNAP, "")?;
        let done = act(&scene);
        capture.stop();
        done.context(*name)?;
        finish(name, &file)?;
    }
    let scan = folder.join("syn-scan/input.pcap");
    let frames: Vec<Frame> = read_pcap(&scan)?.iter().map(|frame| tagged(frame, VLAN)).collect();
    let file = case_file(folder, "vlan-tagged")?;
    write_pcap(&file, &frames)?;
    finish("vlan-tagged", &file)?;
    write_truncated(&scan, &case_file(folder, "truncated")?)
}

/// The first half of a capture, which ends within a frame.
fn write_truncated(whole: &Path, file: &Path) -> Result<()> {
    let half = read_pcap(whole)?.len() / 2;
    let bytes = fs::read(whole)?;
    let frames = read_pcap(whole)?;
    let end = frames.iter().take(half).fold(FILE_HEADER_LEN, |at, frame| at + 16 + frame.bytes.len());
    // The next frame's header and ten of its bytes are there, the rest is not.
    fs::write(file, &bytes[..end + 16 + 10])?;
    finish("truncated", file)
}

fn case_file(folder: &Path, name: &str) -> Result<std::path::PathBuf> {
    fs::create_dir_all(folder.join(name))?;
    Ok(folder.join(name).join("input.pcap"))
}

fn finish(name: &str, file: &Path) -> Result<()> {
    let bytes = fs::metadata(file)?.len();
    ensure!(bytes < MOST_BYTES, "{name} has {bytes} bytes, more than {MOST_BYTES}");
    println!("{name}: {} frames, {bytes} bytes", read_pcap(file)?.len());
    Ok(())
}

/// A page of six small files over six connections at once.
fn small_page(scene: &Scene, server: &str) -> Result<()> {
    let files = ["index.html", "style.css", "logo.png", "icon.svg", "api.json", "icon.svg"];
    let mut command = scene.network.lan.words("curl -g -s -S --fail -m 10 -Z --parallel-immediate");
    for file in files {
        command.args(["-o", "/dev/null", &format!("http://{server}/{file}")]);
    }
    run_within(&mut command, LIMIT).map(|_| ())
}

fn mix(scene: &Scene) -> Result<()> {
    let pings = PingStream::start(&scene.network.lan, GATEWAY, 200)?;
    look_up_names(&scene.network.lan, NAME_SERVER, 10)?;
    small_page(scene, INTERNET[0])?;
    ssh_by_key(&scene.network.lan, INTERNET[1], "uptime", LIMIT)?;
    ssh_by_key(&scene.visitors[0].namespace, LAN_HOST, "id", LIMIT)?;
    small_page(scene, INTERNET[1])?;
    std::thread::sleep(Duration::from_secs(1));
    pings.stop().map(|_| ())
}
