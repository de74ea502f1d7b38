//! The real servers that stand in the laboratory. Each is a background program that ends with its guard.
//!
//! Users and passwords exist only inside: `ip netns exec` shows programs a private `/etc/passwd` and `/etc/shadow`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cleanup::work_folder;
use crate::namespace::{Namespace, run};
use crate::network::{GATEWAY, INTERNET, INTERNET_V6, NAME_SERVER};
use crate::process::{Running, wait_until};

/// The user whom the servers know.
pub const USER: &str = "lab";
/// The user's password.
pub const PASSWORD: &str = "correct-horse-battery";

/// The password as `openssl passwd -6` writes it.
const PASSWORD_HASH: &str =
    "$6$sluicelab$afc5u70JWRnhmESblteZwT6dukqL15AUIxQVgzImTjVknvEgSwEzFi3aAvxJqXgAtgS8k.IRlm20slVaBjtkj1";

/// The files that the web servers offer, with their sizes: a page and what it consists of, and downloads.
pub const WEB_FILES: [(&str, usize); 9] = [
    ("index.html", 6_000),
    ("style.css", 18_000),
    ("app.js", 90_000),
    ("logo.png", 4_000),
    ("photo.jpg", 240_000),
    ("icon.svg", 700),
    ("api.json", 350),
    ("package.deb", 1_500_000),
    ("film.bin", 6_000_000),
];

/// A page as a browser sees it: its parts come from all servers of the outside world, it asks for news all the time, and once it stands
/// it wants something of a server that is gone.
pub const WEB_PAGE: &str = "news.html";

const WEB_PAGE_TEXT: &str = "<!doctype html><meta charset=utf-8><title>News</title><link rel=stylesheet href=style.css>
<script src=app.js async></script><h1>News</h1><script>
for (let n = 0; n < 40; n++) {
  const file = n % 8 ? 'icon.svg' : 'photo.jpg';
  const server = n % 2 ? `host${n % 4}.example.com` : `203.0.113.${10 + n % 4}`;
  document.write(`<img src='//${server}/${file}?${n}'>`);
}
setInterval(() => fetch('api.json?' + Date.now()), 700);
addEventListener('load', () => setTimeout(() => { new Image().src = 'http://203.0.113.200/banner.png'; }, 100));
</script>";

/// How long a server may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Makes the users exist for programs that start in the namespace from now on.
///
/// # Errors
/// `/etc/netns` cannot be written.
pub fn create_users(namespace: &Namespace) -> Result<()> {
    let home = home_folder()?;
    let passwd = format!(
        "root:x:0:0:root:/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\nftp:x:101:65534::/nonexistent:/bin/false\n\
         avahi:x:102:65534::/nonexistent:/bin/false\n\
         nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n{USER}:x:0:0::{}:/bin/sh\n",
        home.display()
    );
    namespace.private_file("passwd", &passwd)?;
    namespace.private_file("shadow", &format!("root:*:19000::::::\n{USER}:{PASSWORD_HASH}:19000::::::\n"))
}

/// A real sshd on port 22 of all addresses of the namespace, with a throw-away host key; logs in [`USER`] by password or by [`user_key`].
///
/// # Errors
/// openssh-server is not installed, or it does not start.
pub fn sshd(namespace: &Namespace) -> Result<Running> {
    create_users(namespace)?;
    let folder = work_folder()?;
    let host_key = make_key(&folder.join("host_key"))?;
    let authorized = user_key()?.with_extension("pub");
    fs::create_dir_all("/run/sshd").context("sshd needs /run/sshd")?;
    let config = format!(
        "HostKey {}\nPidFile none\nUsePAM no\nPasswordAuthentication yes\nPermitRootLogin yes\nAuthorizedKeysFile {}\n\
         StrictModes no\nUseDNS no\nMaxStartups 100\nPrintMotd no\nSubsystem sftp internal-sftp\n",
        host_key.display(),
        authorized.display()
    );
    let file = folder.join(format!("{}.sshd_config", namespace.name()));
    fs::write(&file, config)?;
    start(namespace, &format!("/usr/sbin/sshd -D -e -f {}", file.display()), "tcp", 22)
}

/// The port of [`dropbear`].
pub const DROPBEAR_PORT: u16 = 2222;

/// A real Dropbear, the SSH server of small routers, on [`DROPBEAR_PORT`] of all addresses of the namespace; logs in [`USER`] by [`user_key`].
/// It says less than OpenSSH to who gets in.
///
/// # Errors
/// dropbear-bin is not installed, or it does not start.
pub fn dropbear(namespace: &Namespace) -> Result<Running> {
    create_users(namespace)?;
    let (home, host_key) = (home_folder()?, work_folder()?.join("dropbear_key"));
    let keys = home.join(".ssh");
    fs::create_dir_all(&keys)?;
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700))?;
    let authorized = keys.join("authorized_keys");
    fs::copy(user_key()?.with_extension("pub"), &authorized)?;
    fs::set_permissions(&authorized, fs::Permissions::from_mode(0o600))?;
    if !host_key.exists() {
        run(Command::new("dropbearkey").args(["-t", "ed25519", "-f"]).arg(&host_key))?;
    }
    let line = format!("dropbear -F -E -r {} -p {DROPBEAR_PORT} -P {}.pid", host_key.display(), host_key.display());
    start(namespace, &line, "tcp", DROPBEAR_PORT)
}

/// The private key that the servers accept for [`USER`].
///
/// # Errors
/// openssh-client is not installed.
pub fn user_key() -> Result<PathBuf> {
    make_key(&work_folder()?.join("user_key"))
}

/// A real nginx on ports 80 and 443 of all addresses of the namespace, with [`WEB_FILES`] and [`WEB_PAGE`]; below `/private/` it asks for the
/// name and the password of [`USER`].
///
/// # Errors
/// nginx is not installed, or it does not start.
pub fn nginx(namespace: &Namespace) -> Result<Running> {
    let folder = work_folder()?.join(namespace.name());
    let files = folder.join("www");
    fs::create_dir_all(&files)?;
    for (name, size) in WEB_FILES {
        write_once(&files.join(name), &filler(size))?;
    }
    write_once(&files.join(WEB_PAGE), WEB_PAGE_TEXT.as_bytes())?;
    write_once(&folder.join("users"), format!("{USER}:{{PLAIN}}{PASSWORD}\n").as_bytes())?;
    let (certificate, key) = certificate()?;
    let config = format!(
        "daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/error.log;\nevents {{ worker_connections 512; }}\n\
         http {{ access_log off; client_body_temp_path {0}/t1; proxy_temp_path {0}/t2; fastcgi_temp_path {0}/t3;\n\
         uwsgi_temp_path {0}/t4; scgi_temp_path {0}/t5; keepalive_timeout 30;\n\
         ssl_certificate {1}; ssl_certificate_key {2};\n\
         server {{ listen 80 backlog=1024; listen [::]:80; listen 443 ssl; listen [::]:443 ssl; root {0}/www;\n\
         location /private/ {{ auth_basic private; auth_basic_user_file {0}/users; }} }} }}\n",
        folder.display(),
        certificate.display(),
        key.display()
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    start(namespace, &format!("/usr/sbin/nginx -c {} -e {}/error.log", file.display(), folder.display()), "tcp", 80)
}

/// The certificate of the web servers, which no authority has signed, and its key.
fn certificate() -> Result<(PathBuf, PathBuf)> {
    let folder = work_folder()?;
    let (certificate, key) = (folder.join("web.crt"), folder.join("web.key"));
    let _alone = SHARED_FILES.lock();
    if !certificate.exists() {
        let subject =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=host0.example.com";
        let mut command = Command::new("openssl");
        run(command.args(subject.split(' ')).arg("-keyout").arg(&key).arg("-out").arg(&certificate))?;
    }
    Ok((certificate, key))
}

/// A real telnetd on port 23; each connection has a process of its own. Knows [`USER`].
///
/// # Errors
/// inetutils-telnetd or socat is not installed, or it does not start.
pub fn telnetd(namespace: &Namespace) -> Result<Running> {
    create_users(namespace)?;
    start(namespace, "socat TCP-LISTEN:23,fork,reuseaddr,backlog=64 EXEC:/usr/sbin/telnetd,nofork=0", "tcp", 23)
}

/// A real mosquitto on port 1883 of one address, for everybody, or for those whose password it knows, of whom there are none.
///
/// # Errors
/// mosquitto is not installed, or it does not start.
pub fn mosquitto(namespace: &Namespace, address: &str, is_for_everybody: bool) -> Result<Running> {
    let folder = work_folder()?;
    let (file, users) = (folder.join(format!("{}-mosquitto.conf", namespace.name())), folder.join("mosquitto-users"));
    write_once(&users, b"")?;
    let config = format!(
        "listener 1883 {address}\nallow_anonymous {is_for_everybody}\npassword_file {}\nuser root\n",
        users.display()
    );
    fs::write(&file, config)?;
    start(namespace, &format!("mosquitto -c {}", file.display()), "tcp", 1883)
}

/// A real Samba on port 445; knows nobody.
///
/// # Errors
/// samba is not installed, or it does not start.
pub fn samba(namespace: &Namespace) -> Result<Running> {
    let folder = work_folder()?.join(format!("{}-samba", namespace.name()));
    fs::create_dir_all(&folder)?;
    let mut config = "[global]\nsmb ports = 445\ndisable netbios = yes\nserver min protocol = NT1\n".to_owned();
    for purpose in
        ["private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir"]
    {
        config += &format!("{purpose} = {}\n", folder.display());
    }
    let file = folder.join("smb.conf");
    fs::write(&file, config)?;
    start(
        namespace,
        &format!("smbd --foreground --no-process-group --debug-stdout --configfile={}", file.display()),
        "tcp",
        445,
    )
}

/// A real Avahi at one device, which tells of services by mDNS (RFC 6762).
///
/// # Errors
/// avahi-daemon is not installed, or it does not start.
pub fn avahi(namespace: &Namespace, device: &str, services: &[&str]) -> Result<Running> {
    create_users(namespace)?;
    let config = format!(
        "[server]\nhost-name={}\nallow-interfaces={device}\nenable-dbus=no\n[wide-area]\n[publish]\n[reflector]\n[rlimits]\n",
        namespace.name()
    );
    for (number, service) in services.iter().enumerate() {
        let text = format!(
            "<service-group><name replace-wildcards=\"yes\">{service} on %h</name><service><type>{service}</type>\
             <port>{}</port></service></service-group>",
            8_000 + number
        );
        namespace.private_file(&format!("avahi/services/{number}.service"), &text)?;
    }
    let file = work_folder()?.join(format!("{}-avahi.conf", namespace.name()));
    fs::write(&file, config)?;
    // Of those that see the same /run only one may be.
    let line = format!(
        "mount -t tmpfs tmpfs /run && exec avahi-daemon --no-drop-root --no-rlimits --no-chroot --no-proc-title -f {}",
        file.display()
    );
    let mut command = namespace.command("sh");
    await_port(namespace, Running::start(command.args(["-c", &line]))?, "udp", 5353)
}

/// A real media server on port 8200, which tells of itself by SSDP at one device.
///
/// # Errors
/// minidlna is not installed, or it does not start.
pub fn minidlna(namespace: &Namespace, device: &str) -> Result<Running> {
    let folder = work_folder()?.join(format!("{}-minidlna", namespace.name()));
    fs::create_dir_all(&folder)?;
    let config = format!(
        "network_interface={device}\nmedia_dir={0}\ndb_dir={0}/db\nlog_dir={0}/log\nport=8200\nnotify_interval=10\nfriendly_name=television\n",
        folder.display()
    );
    let file = folder.join("minidlna.conf");
    fs::write(&file, config)?;
    start(namespace, &format!("minidlnad -S -f {} -P {}/pid", file.display(), folder.display()), "tcp", 8200)
}

/// An iperf3 server on port 5201 of one address: on all of them it would answer UDP from the wrong one.
///
/// # Errors
/// iperf3 is not installed, or it does not start.
pub fn iperf3(namespace: &Namespace, address: &str) -> Result<Running> {
    start(namespace, &format!("iperf3 -s -B {address}"), "tcp", 5201)
}

/// A name server at [`NAME_SERVER`] that knows `hostN.example.com` and, as any name below `example.net`, the first server.
///
/// # Errors
/// dnsmasq is not installed, or it does not start.
pub fn dnsmasq(namespace: &Namespace) -> Result<Running> {
    let mut line = format!(
        "dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file= --bind-interfaces \
         --listen-address={NAME_SERVER} --cache-size=0 --address=/example.net/{} --address=/example.com/{INTERNET_V6}",
        INTERNET[0]
    );
    for (number, address) in INTERNET.iter().enumerate() {
        line.push_str(&format!(" --host-record=host{number}.example.com,{address}"));
    }
    start(namespace, &line, "udp", 53)
}

/// What a router tells its household over IPv4, said by a real dnsmasq on `wan0`: addresses, with [`GATEWAY`] as the gateway
/// and [`NAME_SERVER`] as the resolver.
///
/// # Errors
/// dnsmasq is not installed, or it does not start.
pub fn dhcp(namespace: &Namespace) -> Result<Running> {
    let line = format!(
        "{ROUTERS_DNSMASQ} --dhcp-range=198.51.100.100,198.51.100.110,1h --no-ping --dhcp-option=option:router,{GATEWAY} \
         --dhcp-option=option:dns-server,{NAME_SERVER}"
    );
    start(namespace, &line, "udp", 67)
}

/// The same over IPv6, in router advertisements and over DHCPv6.
///
/// # Errors
/// As [`dhcp`].
pub fn router_advertisements(namespace: &Namespace) -> Result<Running> {
    let line = format!(
        "{ROUTERS_DNSMASQ} --enable-ra --ra-param=wan0,4,1800 --dhcp-range=2001:db8:1::100,2001:db8:1::110,64,1h \
         --dhcp-option=option6:dns-server,[{INTERNET_V6}]"
    );
    start(namespace, &line, "udp", 547)
}

const ROUTERS_DNSMASQ: &str = "dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file= \
     --port=0 --interface=wan0 --dhcp-leasefile=/dev/null --leasefile-ro";

/// A device at `lan0` that asks for an address as real ones do, by udhcpc, and makes no use of it.
///
/// # Errors
/// udhcpc is not installed, or nobody answers.
pub fn ask_for_address(lan: &Namespace) -> Result<String> {
    lan.run_within("udhcpc -f -n -q -i lan0 -s /bin/true", START_LIMIT)
}

/// A real vsftpd on port 21; knows [`USER`].
///
/// # Errors
/// vsftpd is not installed, or it does not start.
pub fn vsftpd(namespace: &Namespace) -> Result<Running> {
    create_users(namespace)?;
    let folder = work_folder()?;
    let empty = folder.join("empty");
    fs::create_dir_all(&empty)?;
    let config = format!(
        "listen=YES\nbackground=NO\nanonymous_enable=NO\nlocal_enable=YES\nwrite_enable=NO\npam_service_name=vsftpd\n\
         secure_chroot_dir={}\nseccomp_sandbox=NO\nmax_per_ip=0\nmax_login_fails=3\nlocal_root={}\n",
        empty.display(),
        home_folder()?.display()
    );
    let file = folder.join("vsftpd.conf");
    write_once(&file, config.as_bytes())?;
    start(namespace, &format!("/usr/sbin/vsftpd {}", file.display()), "tcp", 21)
}

/// Starts a server and waits until it (or one before it) listens on the port.
fn start(namespace: &Namespace, line: &str, protocol: &str, port: u16) -> Result<Running> {
    await_port(namespace, namespace.start(line)?, protocol, port)
}

fn await_port(namespace: &Namespace, mut server: Running, protocol: &str, port: u16) -> Result<Running> {
    let waited = wait_until(&format!("port {port} is listened on"), START_LIMIT, || {
        !server.is_alive() || listens(namespace, protocol, port)
    });
    match waited {
        Ok(_) if server.is_alive() => Ok(server),
        Ok(_) => Err(server.complaint("ended at once")),
        Err(error) => Err(server.complaint(&error.to_string())),
    }
}

/// Whether something in the namespace listens on the port.
fn listens(namespace: &Namespace, protocol: &str, port: u16) -> bool {
    // From outside: it is no part of what is done in there, of which a journal may be kept.
    let words = ["-N", namespace.name(), "-H", "-l", "-n", if protocol == "tcp" { "-t" } else { "-u" }];
    let list = run(Command::new("ss").args(words));
    list.is_ok_and(|list| list.lines().any(|line| line.contains(&format!(":{port} "))))
}

/// Files that several laboratories of this process share are made by one of them.
static SHARED_FILES: Mutex<()> = Mutex::new(());

/// Writes a file that never changes, unless it is there.
pub(crate) fn write_once(file: &Path, bytes: &[u8]) -> Result<()> {
    let _alone = SHARED_FILES.lock();
    if !file.exists() {
        fs::write(file, bytes).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// Makes a key pair without a passphrase, unless it is there.
fn make_key(file: &Path) -> Result<PathBuf> {
    let _alone = SHARED_FILES.lock();
    if !file.exists() {
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"]).arg(file))?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
    }
    Ok(file.to_owned())
}

/// The home of [`USER`], with a few files to copy.
fn home_folder() -> Result<PathBuf> {
    let home = work_folder()?.join("home");
    fs::create_dir_all(&home)?;
    for (name, size) in [("notes.txt", 3_000), ("report.pdf", 180_000), ("backup.tar", 900_000)] {
        write_once(&home.join(name), &filler(size))?;
    }
    Ok(home)
}

/// Bytes that neither compress to nothing nor differ between runs.
fn filler(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(size).collect()
}
