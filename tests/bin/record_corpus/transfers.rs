//! Ordinary transfers, as fast as the line: downloads, copies, video, speed tests.

use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::benign::{SSH_OPTIONS, fetch, speed_test};
use lab::namespace::Namespace;
use lab::network::{INTERNET, INTERNET_V6, LAN_HOST};
use lab::process::{run_any, run_within};
use lab::services::{PASSWORD, USER, user_key};

use crate::scenario::Scenario;
use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(60);

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let headers = |kind, name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign(kind, name, act).headers();
    let loud = |kind, name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign(kind, name, act).headers().loud();
    vec![
        headers("downloads", "download_one", |s| fetch(s.lan(), INTERNET[0], "film.bin", LIMIT).map(|_| ())),
        headers("downloads", "download_v6", |s| {
            fetch(s.lan(), &format!("[{INTERNET_V6}]"), "film.bin", LIMIT).map(|_| ())
        }),
        headers("downloads", "download_packages", |s| packages(s, 1)),
        headers("downloads", "download_packages_4_mirrors", |s| packages(s, 4)),
        headers("downloads", "download_8_parts_at_once", parts),
        headers("downloads", "visitor_download", |s| {
            fetch(&s.visitors[1].namespace, LAN_HOST, "film.bin", LIMIT).map(|_| ())
        }),
        headers("video", "video_segments", |s| video(s, 8, "package.deb")),
        headers("video", "video_segments_small", |s| video(s, 12, "photo.jpg")),
        headers("ftp", "ftp_downloads", ftp),
        headers("ftp", "ftp_download_many", |s| (0..4).try_for_each(|_| ftp(s))),
        headers("copies", "copy_scp", |s| copy(s, "scp -q")),
        headers("copies", "copy_rsync", |s| rsync(s.lan(), INTERNET[0])),
        headers("copies", "copy_tar_nightly", tar),
        headers("copies", "copy_from_outside", |s| rsync(&s.visitors[0].namespace, LAN_HOST)),
        headers("copies", "copy_3_hosts_at_once", |s| {
            scope(|threads| {
                let hosts = INTERNET[..3].iter().map(|host| threads.spawn(|| rsync(s.lan(), host)));
                hosts.collect::<Vec<_>>().into_iter().try_for_each(|host| host.join().unwrap_or(Ok(())))
            })
        }),
        loud("speed-test", "speed_tcp_up", |s| speed_test(s.lan(), INTERNET[0], 2, "-b 20M")),
        loud("speed-test", "speed_tcp_down_8_streams", |s| speed_test(s.lan(), INTERNET[0], 2, "-R -P 8 -b 4M")),
        loud("speed-test", "speed_curl_8_streams", |s| {
            let line = format!("curl -s -m 5 -Z --parallel-max 8 -o /dev/null http://{}/film.bin?[1-8]", INTERNET[0]);
            run_any(&mut s.lan().words(&line), LIMIT).map(|_| ())
        }),
        loud("speed-test", "speed_udp_5m", |s| speed_test(s.lan(), INTERNET[0], 3, "-u -b 5M")),
        loud("speed-test", "speed_udp_40m", |s| speed_test(s.lan(), INTERNET[0], 2, "-u -b 40M")),
        loud("speed-test", "speed_udp_down_20m", |s| speed_test(s.lan(), INTERNET[0], 2, "-u -R -b 20M")),
    ]
}

/// What a package manager does: lists, then several large files over one connection to each mirror.
fn packages(scene: &Scene, mirrors: usize) -> Result<()> {
    for mirror in 0..mirrors {
        let files = ["style.css", "app.js", "package.deb", "package.deb", "photo.jpg"];
        let urls: Vec<String> =
            files.iter().map(|file| format!("-o /dev/null http://host{mirror}.example.com/{file}")).collect();
        scene.lan().run_within(&format!("curl -s -S --fail -m 50 {}", urls.join(" ")), LIMIT)?;
    }
    Ok(())
}

/// A download manager: eight ranges of a file at once.
fn parts(scene: &Scene) -> Result<()> {
    scope(|threads| {
        let parts: Vec<_> = (0..8)
            .map(|part| {
                let (first, last) = (part * 750_000, part * 750_000 + 749_999);
                let line =
                    format!("curl -s -S --fail -m 50 -r {first}-{last} -o /dev/null http://{}/film.bin", INTERNET[2]);
                threads.spawn(move || scene.lan().run_within(&line, LIMIT).map(|_| ()))
            })
            .collect();
        parts.into_iter().try_for_each(|part| part.join().unwrap_or(Ok(())))
    })
}

/// HTTP live streaming: the list of segments and the next segment, every two seconds.
fn video(scene: &Scene, segments: u32, segment: &str) -> Result<()> {
    for _ in 0..segments {
        fetch(scene.lan(), INTERNET[1], "api.json", LIMIT)?;
        fetch(scene.lan(), INTERNET[1], segment, LIMIT)?;
        sleep(Duration::from_millis(1_500));
    }
    Ok(())
}

fn ftp(scene: &Scene) -> Result<()> {
    for file in ["notes.txt", "report.pdf", "notes.txt"] {
        let line = format!("curl -s -S -m 30 -o /dev/null --user {USER}:{PASSWORD} ftp://{LAN_HOST}/{file}");
        scene.visitors[1].namespace.run_within(&line, LIMIT)?;
    }
    Ok(())
}

fn copy(scene: &Scene, program: &str) -> Result<()> {
    let key = user_key()?;
    for file in ["report.pdf", "backup.tar"] {
        let line = format!("{program} {SSH_OPTIONS} -i {} {USER}@{}:{file} /dev/null", key.display(), INTERNET[0]);
        scene.lan().run_within(&line, LIMIT)?;
    }
    Ok(())
}

/// Synchronises the home of the user into a folder that goes away.
fn rsync(from: &Namespace, server: &str) -> Result<()> {
    let key = user_key()?;
    let target = lab::cleanup::work_folder()?.join(format!("synced-{}-{server}", from.name()));
    let mut command = from.command("rsync");
    command.args(["-a", "-e", &format!("ssh {SSH_OPTIONS} -i {}", key.display())]);
    command.arg(format!("{USER}@{server}:./")).arg(&target);
    run_within(&mut command, LIMIT)?;
    std::fs::remove_dir_all(&target)?;
    Ok(())
}

/// A backup: a folder packed into a stream over ssh, three times.
fn tar(scene: &Scene) -> Result<()> {
    let key = user_key()?;
    for _ in 0..3 {
        let mut command = scene.lan().command("sh");
        let line = format!(
            "tar -cf - -C /usr/share/nmap nmap-services nmap-os-db | ssh {SSH_OPTIONS} -i {} {USER}@{} 'cat > /dev/null'",
            key.display(),
            INTERNET[1]
        );
        let finished = run_any(command.args(["-c", &line]), LIMIT)?;
        ensure!(finished.success(), "{}", finished.stderr);
        sleep(Duration::from_secs(1));
    }
    Ok(())
}
