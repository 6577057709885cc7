use std::io::{self, Read, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::sink::SinkNews;
use super::source::SourceNews;
use super::*;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is read with one call.
type Piece = io::Result<Vec<u8>>;

/// A pipe of which each piece is one read or write, that waits for the test.
struct Pipe {
    pieces: Receiver<Piece>,
    written: Sender<Vec<u8>>,
}

impl Pipe {
    fn new() -> (Pipe, Sender<Piece>, Receiver<Vec<u8>>) {
        let ((send, pieces), (written, read)) = (mpsc::channel(), mpsc::channel());
        (Pipe { pieces, written }, send, read)
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.pieces.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
        buffer[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

impl Write for Pipe {
    /// Takes what it is given when the test has a piece for it.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.pieces.recv().map_err(|_| io::ErrorKind::BrokenPipe)??;
        self.written.send(buffer.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A thread, and how it tells.
fn start(body: impl FnOnce(Pipe, &dyn Fn()) + Send + 'static, pipe: Pipe) -> (Receiver<()>, JoinHandle<()>) {
    let (tell, told) = mpsc::channel();
    (
        told,
        thread::spawn(move || {
            body(pipe, &|| {
                let _ = tell.send(());
            })
        }),
    )
}

fn hear(told: &Receiver<()>) {
    told.recv_timeout(PATIENCE).expect("there is news");
}

#[test]
fn what_comes_of_a_source_can_be_read_until_it_is_released() {
    let (pipe, pieces, _) = Pipe::new();
    let source = StreamSource::new(8);
    let (told, thread) = start(source.body(), pipe);
    pieces.send(Ok(b"01234".to_vec())).expect("read");
    hear(&told);
    assert_eq!(source.news(), SourceNews { available: 5, ended: None });
    let read = |offset, length| {
        let mut buffer = vec![0; length];
        source.read_at(offset, &mut buffer).map(|()| buffer).ok()
    };
    assert_eq!((read(1, 3), read(4, 2)), (Some(b"123".to_vec()), None));
    source.release(3);
    assert_eq!((read(2, 1), read(3, 2)), (None, Some(b"34".to_vec())));
    pieces.send(Ok(b"567".to_vec())).expect("read");
    hear(&told);
    drop(pieces);
    hear_end(&told, &source, Ok(blake3::hash(b"01234567").into()));
    assert_eq!(read(3, 5), Some(b"34567".to_vec()));
    thread.join().expect("it has ended");
}

/// The end may have come with what was told before.
fn hear_end(told: &Receiver<()>, source: &StreamSource, end: Result<[u8; 32], String>) {
    let mut news = source.news();
    while news.ended.is_none() {
        hear(told);
        news = source.news();
    }
    assert_eq!(news.ended, Some(end));
}

#[test]
fn a_source_reads_no_more_than_it_has_room_for_and_tells_once_until_somebody_looks() {
    let (pipe, pieces, _) = Pipe::new();
    let source = StreamSource::new(4);
    let (told, _thread) = start(source.body(), pipe);
    for piece in [b"01", b"23", b"45"] {
        pieces.send(Ok(piece.to_vec())).expect("read");
    }
    hear(&told);
    let begin = std::time::Instant::now();
    while source.0.lock().available < 4 {
        assert!(begin.elapsed() < PATIENCE);
        thread::yield_now();
    }
    assert!(told.try_recv().is_err(), "told once");
    assert_eq!(source.news().available, 4, "and no more");
    source.release(2);
    hear(&told);
    assert_eq!(source.news(), SourceNews { available: 6, ended: None });
}

#[test]
fn a_source_that_fails_says_why_and_one_that_is_closed_ends() {
    let (pipe, pieces, _) = Pipe::new();
    let source = StreamSource::new(4);
    let (told, thread) = start(source.body(), pipe);
    pieces.send(Err(io::ErrorKind::Interrupted.into())).expect("read");
    pieces.send(Err(io::Error::other("no"))).expect("read");
    hear(&told);
    assert_eq!(source.news().ended, Some(Err("standard input cannot be read: no".into())));
    thread.join().expect("it has ended");

    let (pipe, pieces, _) = Pipe::new();
    let source = StreamSource::new(1);
    let (told, thread) = start(source.body(), pipe);
    pieces.send(Ok(b"0".to_vec())).expect("read");
    hear(&told);
    drop(source);
    thread.join().expect("it has ended, though it had no room");
}

#[test]
fn what_arrives_is_written_in_order_and_there_is_room_again_when_it_was_taken() {
    let (pipe, pieces, written) = Pipe::new();
    let sink = StreamSink::new(8);
    let (told, thread) = start(sink.body(), pipe);
    assert!(sink.put(4, b"4567"));
    assert!(!sink.put(6, b"678"), "no room");
    assert!(sink.put(2, b"23"));
    assert_eq!(sink.0.lock().in_order(), 0, "its turn has not come");
    assert!(sink.put(0, b"01"));
    assert_eq!(sink.0.lock().in_order(), 8);
    assert!(!sink.put(8, b"8"), "nobody has taken anything");
    pieces.send(Ok(Vec::new())).expect("written");
    assert_eq!(written.recv_timeout(PATIENCE).expect("written"), b"01234567");
    hear(&told);
    assert_eq!(sink.news(), SinkNews { written: 8, failed: None });
    assert_eq!(sink.news(), SinkNews { written: 0, failed: None }, "said once");
    assert!(sink.put(8, b"8"));
    pieces.send(Ok(Vec::new())).expect("written");
    hear(&told);
    assert_eq!(sink.news(), SinkNews { written: 1, failed: None });
    assert_eq!(sink.hash(), <[u8; 32]>::from(blake3::hash(b"012345678")));
    drop(sink);
    thread.join().expect("it has ended");
}

#[test]
fn a_reader_that_went_away_is_told_from_a_disk_that_is_full() {
    for (error, words) in [
        (io::ErrorKind::BrokenPipe.into(), "nobody reads standard output any more"),
        (io::Error::other("full"), "standard output cannot be written: full"),
    ] {
        let (pipe, pieces, _) = Pipe::new();
        let sink = StreamSink::new(8);
        let (told, thread) = start(sink.body(), pipe);
        pieces.send(Err(error)).expect("written");
        assert!(sink.put(0, b"0"));
        hear(&told);
        assert_eq!(sink.news(), SinkNews { written: 0, failed: Some(words.into()) });
        thread.join().expect("it has ended");
    }
}
