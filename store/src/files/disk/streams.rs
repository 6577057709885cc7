//! Streams: a thread for each waits for the other process, and says when there is news.

use std::io;

use toom_core::id::OfferId;
use toom_core::transfer::io::{Input, STREAM_BYTES};

use super::{Disk, File, slots};
use crate::files::job::{Finished, Job, Work};
use crate::files::stream::{self, SinkNews, SourceNews, StreamSink, StreamSource};

impl Disk {
    pub(super) fn open_input(&mut self, transfer: OfferId) -> io::Result<File> {
        let input = self.streams.0.take().map_or_else(stream::standard_input, Ok)?;
        let source = StreamSource::new(STREAM_BYTES);
        let body = source.body();
        (self.start_job)(Job::waiting(move |finished| body(input, &|| finished(streamed(transfer)))));
        Ok(File::StreamSource { source, slots: slots() })
    }

    pub(super) fn open_output(&mut self, transfer: OfferId) -> io::Result<File> {
        let output = self.streams.1.take().map_or_else(stream::standard_output, Ok)?;
        let sink = StreamSink::new(STREAM_BYTES);
        let body = sink.body();
        (self.start_job)(Job::waiting(move |finished| body(output, &|| finished(streamed(transfer)))));
        Ok(File::StreamSink(sink))
    }

    /// There is news of a stream.
    pub(super) fn streamed(&mut self, transfer: OfferId) {
        let (input, failed) = match self.files.get(&transfer) {
            Some(File::StreamSource { source, .. }) => {
                let SourceNews { available: bytes, ended } = source.news();
                self.inputs.push_back(Input::Available { transfer, bytes });
                match ended {
                    None => (None, None),
                    Some(Ok(blake3)) => (Some(Input::SourceHashed { transfer, blake3 }), None),
                    Some(Err(reason)) => (None, Some(reason)),
                }
            }
            Some(File::StreamSink(sink)) => {
                let SinkNews { written: bytes, failed } = sink.news();
                (Some(Input::Written { transfer, bytes }), failed)
            }
            _ => (None, None),
        };
        self.inputs.extend(input);
        self.inputs.extend(failed.map(|reason| Input::StorageFailed { transfer, reason }));
    }
}

fn streamed(transfer: OfferId) -> Finished {
    Finished { transfer, work: Work::Streamed }
}
