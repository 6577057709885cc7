//! Datagrams from strangers at the ports of people who move a file.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

use super::arena::{Arena, on_threads};
use super::handshakes::some_bytes;
use super::processes::ClientProcess;
use super::report::Outcome;

/// The size of each file.
const FILE_BYTES: usize = 50_000_000;
/// Datagrams at once; then others may have the processor.
const BURST: usize = 50;

/// Random, truncated and repeated ones, from other addresses and from the peer's own, while files move.
pub(super) fn strangers(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let (folder, downloads) = (arena.folder()?, arena.folder()?);
    let accept = ["--accept", "all", "--downloads", downloads.to_str().unwrap_or_default()];
    let mut chewie = arena.client("chewie", &accept)?;
    let mut han = arena.client("han", &[])?;
    let pair = [han.udp_port, chewie.udp_port];
    let done = AtomicBool::new(false);
    let senders = 3;
    let files = std::sync::Mutex::new(Some((&mut han, &mut chewie)));
    on_threads(senders + 1, outcome, |number, outcome| {
        if number < senders {
            return flood(arena, number, pair, &done, outcome);
        }
        let taken = files.lock().map_err(|_| io::Error::other("taken"))?.take();
        let result = match taken {
            Some((han, chewie)) => move_files(arena, han, chewie, (&folder, &downloads), outcome),
            None => Ok(()),
        };
        done.store(true, Relaxed);
        result
    });
    for client in [&han, &chewie] {
        if let Some(panic) = client.said().panic() {
            outcome.fault(format!("a client panicked: {panic}"));
        }
    }
    Ok(())
}

fn move_files(
    arena: &Arena,
    han: &mut ClientProcess,
    chewie: &mut ClientProcess,
    (folder, downloads): (&std::path::Path, &std::path::Path),
    outcome: &mut Outcome,
) -> io::Result<()> {
    let mut content = vec![0; FILE_BYTES];
    for number in 0..arena.scaled(10) {
        arena.random(900 + number as u64).fill_bytes(&mut content);
        let file = folder.join(format!("film-{number}"));
        fs::write(&file, &content)?;
        han.type_line(&format!("UPD chewie {}", file.display()))?;
        let ended =
            |event: &Value| event["event"] == "transfer" && matches!(event["state"].as_str(), Some("done" | "failed"));
        let (_, received) = chewie.find("the end of a transfer", ended)?;
        let (_, sent) = han.find("the end of a transfer", ended)?;
        let arrived = fs::read(downloads.join(received["saved_as"].as_str().unwrap_or("nothing")));
        let whole = received["blake3"] == sent["blake3"] && arrived.is_ok_and(|arrived| arrived == content);
        outcome.check(whole, format!("a file did not arrive: {received}, {sent}"));
        outcome.add("files of 50 MB that arrived whole meanwhile", u64::from(whole));
    }
    Ok(())
}

/// Sends until told to stop.
fn flood(arena: &Arena, number: usize, pair: [u16; 2], done: &AtomicBool, outcome: &mut Outcome) -> io::Result<()> {
    let own = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 80 + u8::try_from(number).unwrap_or(0)), 0))?;
    let forging = match Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW))) {
        Ok(socket) => Some(socket),
        Err(error) => {
            outcome.note(format!("no forged source addresses: {error}"));
            None
        }
    };
    let mut random = arena.random(800 + number as u64);
    let mut last = Vec::new();
    while !done.load(Relaxed) {
        for _ in 0..BURST {
            let (what, datagram) = datagram(&mut random, &last);
            for (at, port) in pair.iter().chain(&arena.udp_ports).enumerate() {
                let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, *port);
                let _ = own.send_to(&datagram, to);
                outcome.count(what);
                if let (Some(forging), true) = (&forging, at < 2 && datagram.len() < 60_000) {
                    let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, pair[1 - at]);
                    let packet = ip_packet(from, to, &datagram);
                    if forging.send_to(&packet, &SocketAddr::from(to).into()).is_ok() {
                        outcome.count("with the peer's address as source");
                    }
                }
            }
            last = datagram;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn datagram(random: &mut ChaCha8Rng, last: &[u8]) -> (&'static str, Vec<u8>) {
    match random.next_u64() % 8 {
        0 => ("empty or a few bytes", some_bytes(random, 29).split_off(1)),
        1 => ("random, up to 60 KB", some_bytes(random, 60_000)),
        2 if !last.is_empty() => ("repeated", last.to_vec()),
        3 if !last.is_empty() => ("repeated, truncated", last[..random.next_u64() as usize % last.len()].to_vec()),
        // First bytes of packets of every version and epoch, and small numbers of peers and packets.
        _ => {
            let mut datagram = some_bytes(random, 1_500);
            datagram.resize(datagram.len() + 13, 0);
            datagram[0] = 0xc0 | (random.next_u64() & 0x3f) as u8;
            datagram[5..11].fill(0);
            ("like packets, random", datagram)
        }
    }
}

/// A socket of this protocol sends packets with headers of their own (raw(7)).
const RAW: i32 = 255;

/// An IPv4 packet with a datagram (RFC 791, RFC 768). The system fills in the header's checksum; that of a datagram
/// may be left out.
fn ip_packet(from: SocketAddrV4, to: SocketAddrV4, datagram: &[u8]) -> Vec<u8> {
    let length = |headers: usize| u16::try_from(datagram.len() + headers).unwrap_or(0).to_be_bytes();
    let mut packet = vec![0x45, 0];
    packet.extend(length(28));
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend(datagram);
    packet
}
