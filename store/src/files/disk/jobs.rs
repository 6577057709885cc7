//! Slow work on the files, which is handed out and taken back: hashing, comparing and naming.

use std::mem::replace;

use toom_core::id::OfferId;
use toom_core::transfer::io::Input;
use toom_core::transfer::parts::Part;

use super::{Disk, File, not_open};
use crate::files::content::{ContentSink, ContentSource, wrong_kind};
use crate::files::job::{Finished, Job, Work};

impl Disk {
    /// Hashes the beginning of a source, elsewhere.
    pub fn compare(&mut self, transfer: OfferId, bytes: u64) {
        match self.files.get_mut(&transfer) {
            Some(file @ File::Source { source: ContentSource::File(_), .. }) => {
                let File::Source { source: ContentSource::File(mut source), .. } = replace(file, File::Away) else {
                    return;
                };
                (self.start_job)(Job::once(move || {
                    let hash = source.hash_beginning(bytes);
                    Finished { transfer, work: Work::Compared(source, hash) }
                }));
            }
            _ => self.failed(transfer, &wrong_kind(transfer)),
        }
    }

    /// Looks what is there of several files, elsewhere.
    pub fn survey(&mut self, transfer: OfferId) {
        // The listing must be with them.
        self.flush();
        match self.files.get_mut(&transfer) {
            Some(file @ File::Sink(ContentSink::Tree(_))) => {
                let File::Sink(ContentSink::Tree(mut sink)) = replace(file, File::Away) else { return };
                (self.start_job)(Job::once(move || {
                    let parts = sink.survey();
                    Finished { transfer, work: Work::Surveyed(sink, parts) }
                }));
            }
            _ => self.failed(transfer, &wrong_kind(transfer)),
        }
    }

    /// Compares what the receiver has of several files, elsewhere.
    pub fn compare_parts(&mut self, transfer: OfferId, parts: Vec<Part>) {
        match self.files.get_mut(&transfer) {
            Some(file @ File::Source { source: ContentSource::Tree(_), .. }) => {
                let File::Source { source: ContentSource::Tree(mut source), .. } = replace(file, File::Away) else {
                    return;
                };
                (self.start_job)(Job::once(move || {
                    let same = source.compare(&parts);
                    Finished { transfer, work: Work::PartsCompared(source, same) }
                }));
            }
            _ => self.failed(transfer, &wrong_kind(transfer)),
        }
    }

    /// Hashes the whole partial file, elsewhere.
    pub fn verify(&mut self, transfer: OfferId) {
        // All of it must be in the file before it is hashed.
        self.flush();
        if let Some(File::StreamSink(sink)) = self.files.get(&transfer) {
            let blake3 = sink.hash();
            return self.inputs.push_back(Input::Verified { transfer, blake3 });
        }
        self.send_away(transfer, |mut sink| {
            let hash = sink.hash();
            Work::Hashed(sink, hash)
        });
    }

    /// Gives the file its final name, elsewhere: one that has the name already may have to be compared.
    pub fn publish(&mut self, transfer: OfferId) {
        if let Some(File::StreamSink(_)) = self.files.get(&transfer) {
            // Its name on any command line.
            return self.inputs.push_back(Input::Published { transfer, saved_as: "-".to_owned() });
        }
        self.send_away(transfer, |sink| Work::Published(sink.publish()));
    }

    /// Takes back what a job came to; nothing follows if its transfer is over.
    pub fn finished(&mut self, Finished { transfer, work }: Finished) {
        if let Work::Streamed = work {
            return self.streamed(transfer);
        }
        let Some(file) = self.files.get_mut(&transfer).filter(|file| matches!(file, File::Away)) else {
            match work {
                Work::Prepared(sink, _) => sink.keep(),
                Work::Surveyed(sink, _) => sink.keep(),
                Work::Hashed(sink, _) => sink.keep(),
                _ => {}
            }
            return;
        };
        let mut read = None;
        let input = match work {
            Work::Streamed => return,
            Work::Prepared(sink, have) => {
                *file = File::Sink(ContentSink::File(sink));
                Ok(Input::Prepared { transfer, have })
            }
            Work::Compared(mut source, hash) => {
                read = source.take_hash().map(|blake3| Input::SourceHashed { transfer, blake3 });
                *file = File::source(source.into());
                hash.map(|blake3| Input::Compared { transfer, blake3 })
            }
            Work::Surveyed(sink, parts) => {
                *file = File::Sink(ContentSink::Tree(sink));
                parts.map(|parts| Input::Surveyed { transfer, parts })
            }
            Work::PartsCompared(mut source, same) => {
                read = source.take_hash().map(|blake3| Input::SourceHashed { transfer, blake3 });
                *file = File::source(ContentSource::Tree(source));
                same.map(|same| Input::PartsCompared { transfer, same })
            }
            Work::Hashed(sink, hash) => {
                *file = File::Sink(sink);
                hash.map(|blake3| Input::Verified { transfer, blake3 })
            }
            Work::Published(name) => {
                *file = File::Gone;
                name.map(|saved_as| Input::Published { transfer, saved_as })
            }
        };
        match input {
            Ok(input) => self.inputs.extend([input].into_iter().chain(read)),
            Err(error) => self.failed(transfer, &error),
        }
    }

    pub(super) fn send_away(&mut self, transfer: OfferId, work: fn(ContentSink) -> Work) {
        match self.files.get_mut(&transfer) {
            Some(file @ File::Sink(_)) => {
                let File::Sink(sink) = replace(file, File::Away) else { return };
                (self.start_job)(Job::once(move || Finished { transfer, work: work(sink) }));
            }
            _ => self.failed(transfer, &not_open()),
        }
    }
}
