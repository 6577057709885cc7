//! What a client does with its files.

use std::path::PathBuf;

use toom_core::client::event::TransferFailure;
use toom_core::client::io::{Input, Progress, Report, Side, SourceId, Start};
use toom_core::id::OfferId;
use toom_core::text::FileLabel;
use toom_core::transfer::Have;
use toom_core::transfer::io::Input as TransferInput;

use super::super::disk::Work;
use super::super::network::Context;
use super::{ClientNode, Happened};
use crate::invariants::Observation;

impl ClientNode {
    pub(super) fn start(&mut self, start: Start) {
        let transfer = start.transfer;
        let sink = match &start.side {
            Side::Send { source } if self.disk.start_source(transfer, *source) => Ok(()),
            Side::Send { .. } => {
                let progress = Progress::Failed(TransferFailure::Read("the file is not open".into()));
                self.inbox.push_back(Happened::ForClient(Input::Report(Report { transfer, progress })));
                return;
            }
            // Nobody sends a stream here.
            Side::Receive { from, label, .. } => {
                self.disk.create_sink(transfer, from, label, start.bytes.unwrap_or_default())
            }
        };
        self.running.insert(transfer);
        let receives = matches!(start.side, Side::Receive { .. });
        self.inbox.push_back(Happened::ForTransfers(TransferInput::Start(start)));
        match sink {
            Err(reason) => self.storage_failed(transfer, reason),
            Ok(()) if receives => {
                let prepared = TransferInput::Prepared { transfer, have: Have::default() };
                self.inbox.push_back(Happened::ForTransfers(prepared));
            }
            Ok(()) => {}
        }
    }

    pub(super) fn storage_failed(&mut self, transfer: OfferId, reason: String) {
        self.inbox.push_back(Happened::ForTransfers(TransferInput::StorageFailed { transfer, reason }));
    }

    /// Work of the disk is done. What was closed meanwhile is not told.
    pub(super) fn done(&mut self, ctx: &mut Context<'_>, work: Work) {
        match work {
            Work::Open { source, path } => self.open(source, &path),
            Work::Read { transfer, .. } | Work::Verify { transfer } | Work::Publish { transfer }
                if !self.running.contains(&transfer) => {}
            Work::Read { transfer, offset, length, slot } => match self.disk.read(transfer, offset, length, slot) {
                Ok(hash) => {
                    let (client, bytes) = (self.number, self.disk.slot(transfer, slot));
                    ctx.observe(&Observation::SourceRead { client, transfer, offset, bytes });
                    self.inbox.push_back(Happened::ForTransfers(TransferInput::Read { transfer, slot }));
                    let hashed = |blake3| Happened::ForTransfers(TransferInput::SourceHashed { transfer, blake3 });
                    self.inbox.extend(hash.map(hashed));
                }
                Err(reason) => self.storage_failed(transfer, reason),
            },
            Work::Written { transfer, bytes } => {
                self.inbox.push_back(Happened::ForTransfers(TransferInput::Written { transfer, bytes }));
            }
            Work::Verify { transfer } => match self.disk.hash(transfer) {
                Ok(blake3) => {
                    self.inbox.push_back(Happened::ForTransfers(TransferInput::Verified { transfer, blake3 }));
                }
                Err(reason) => self.storage_failed(transfer, reason),
            },
            Work::Publish { transfer } => match self.disk.publish(transfer) {
                Ok(saved_as) => {
                    let (client, content) = (self.number, &*self.disk.downloads()[&saved_as]);
                    ctx.observe(&Observation::Published { client, transfer, name: &saved_as, content });
                    self.inbox.push_back(Happened::ForTransfers(TransferInput::Published { transfer, saved_as }));
                }
                Err(reason) => self.storage_failed(transfer, reason),
            },
        }
    }

    fn open(&mut self, source: SourceId, path: &PathBuf) {
        let answer = match self.files.get(path) {
            Some(content) => match self.disk.open(source, content.clone()) {
                Ok(()) => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    Input::SourceOpened {
                        source,
                        label: FileLabel::new(&name),
                        bytes: content.len() as u64,
                        listing: None,
                    }
                }
                Err(reason) => Input::SourceFailed { source, missing: None, reason },
            },
            None => Input::SourceFailed { source, missing: Some(path.clone()), reason: "there is no such file".into() },
        };
        self.inbox.push_back(Happened::ForClient(answer));
    }
}
