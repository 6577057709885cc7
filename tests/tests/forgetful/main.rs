//! The real store on a disk that forgets what was not synced, and that fails.
//!
//! Killing a process proves nothing about what it wrote: the page cache outlives it. Here SQLite runs on a VFS that
//! knows what a loss of power may take, and takes it.
//!
//! | module | what |
//! |---|---|
//! | [`disk`] | what is durable, what is only cached, what a crash leaves; no I/O |
//! | [`mount`] | a directory whose files are on such a disk, and what fails there |
//! | [`vfs`] | the shim between SQLite and its own VFS; the only unsafe code |
//! | [`life`] | the work of a store, from opening to closing, with crashes at random moments |
//! | [`recovery`] | what must hold after a crash |
//!
//! `TOOM_CRASHES=20000 cargo test -p toom-tests --test forgetful crashes` tries that many.

mod disk;
mod life;
mod mount;
mod recovery;
mod vfs;

mod crashes;
mod damage;
mod disk_tests;
mod failures;
