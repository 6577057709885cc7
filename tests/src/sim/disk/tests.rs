use super::*;
use crate::scenario::steps::user;

const OFFER: OfferId = OfferId(1);

fn disk() -> Disk {
    Disk::new(WorkOptions::default(), Dice::new(1, "disk"), BTreeMap::new())
}

fn sink(disk: &mut Disk) -> Result<(), String> {
    disk.create_sink(OFFER, &user("yoda"), &FileLabel::new("film.mp4"), 3)
}

#[test]
fn a_disk_that_cannot_be_written_fails_at_every_step_until_it_is_mended() {
    let mut disk = disk();
    sink(&mut disk).expect("a partial file");
    disk.spoil(DiskTrouble::WritesFail);
    assert!(disk.write(OFFER, 0, b"abc").is_err() && disk.publish(OFFER).is_err() && sink(&mut disk).is_err());
    assert_eq!(disk.take_suffered(), [FaultKind::ClientWriteError; 3]);
    disk.mend();
    disk.write(OFFER, 0, b"abc").expect("written");
    assert_eq!(disk.publish(OFFER), Ok("yoda_film.mp4".into()));
    assert_eq!(disk.downloads()["yoda_film.mp4"], b"abc");
}

#[test]
fn a_disk_that_cannot_be_read_opens_reads_and_hashes_nothing() {
    let mut disk = disk();
    let source = SourceId(1);
    disk.open(source, Content::from(*b"abc")).expect("opened");
    assert!(disk.start_source(OFFER, source));
    sink(&mut disk).expect("a partial file");
    disk.spoil(DiskTrouble::ReadsFail);
    assert!(disk.read(OFFER, 0, 3, SlotId(0)).is_err() && disk.hash(OFFER).is_err());
    assert!(disk.open(source, Content::from(*b"abc")).is_err());
    assert_eq!(disk.take_suffered(), [FaultKind::ClientReadError; 3]);
}

#[test]
fn a_file_that_changes_reads_differently_and_others_that_have_it_do_not_notice() {
    let (mut disk, content) = (disk(), Content::from([7; 1_000]));
    disk.open(SourceId(1), content.clone()).expect("opened");
    assert!(disk.start_source(OFFER, SourceId(1)));
    let read = |disk: &mut Disk| {
        disk.read(OFFER, 0, 1_000, SlotId(0)).expect("read");
        disk.slot(OFFER, SlotId(0)).to_vec()
    };
    assert_eq!(read(&mut disk), *content);
    disk.spoil(DiskTrouble::SourcesChange);
    let (second, third) = (read(&mut disk), read(&mut disk));
    assert!(second != *content && third != second && *content == [7; 1_000]);
    assert_eq!(disk.take_suffered(), [FaultKind::SourceChange; 2]);
}

#[test]
fn a_slow_disk_takes_up_to_two_seconds() {
    let mut disk = disk();
    disk.spoil(DiskTrouble::Slow);
    disk.ask(Instant::ZERO, Work::Verify { transfer: OFFER });
    let at = disk.deadline().expect("under way");
    assert!(at > Instant::ZERO + WorkOptions::default().file && at <= Instant::ZERO + SLOW, "{at:?}");
    assert_eq!(disk.take_suffered(), [FaultKind::SlowDisk]);
}
