//! An SQLite VFS that passes everything on to SQLite's own, and tells the mounted directory what happens to its
//! files.
//!
//! It differs from the VFS underneath in four points: it never syncs the real files, since what is durable is known
//! from the directory's [`Disk`](crate::disk::Disk); operations fail when the directory says so; files are not
//! mapped into memory (version 2 of the methods has no `xFetch`), and hints about their size are not followed, so
//! that nothing is written unseen. The shared memory of the write-ahead log is not seen: it is not durable anyway.
//!
//! The files of directories that are not mounted are treated as ever.
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, Once};

use rusqlite::ffi;

use crate::disk::FileId;
use crate::mount::{self, Directory, Operation};

/// What SQLite has of an open file. It makes room for it, and hands us a pointer with each call.
#[repr(C)]
struct Handle {
    /// What SQLite knows of it; must come first.
    base: ffi::sqlite3_file,
    opened: *mut Opened,
}

/// An open file.
struct Opened {
    /// The handle of the VFS underneath, in memory that is aligned for it.
    real: Box<[u64]>,
    /// `None` if its directory is not mounted.
    tracked: Option<Tracked>,
}

struct Tracked {
    directory: Arc<Mutex<Directory>>,
    name: String,
    id: FileId,
    /// The next sync is one of the directory, too. So SQLite's VFS does it for new journals and write-ahead logs,
    /// and for no other file.
    sync_directory: bool,
}

/// Makes this the VFS of everything that is opened from now on.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a null name asks for the default VFS. It is never unregistered, so the pointer stays good, and
        // its fields may be copied. Our copy is leaked, so that it outlives every connection.
        unsafe {
            let real = ffi::sqlite3_vfs_find(std::ptr::null());
            assert!(!real.is_null(), "SQLite has a default VFS");
            let mut shim = *real;
            shim.szOsFile = size_of::<Handle>() as c_int;
            shim.zName = c"forgetful".as_ptr();
            // All that is not replaced here ignores which VFS it is called for, except `xOpen`, which gets the real.
            shim.pAppData = real.cast();
            shim.xOpen = Some(open);
            shim.xDelete = Some(delete);
            let code = ffi::sqlite3_vfs_register(Box::leak(Box::new(shim)), 1);
            assert_eq!(code, ffi::SQLITE_OK, "the VFS is registered");
        }
    });
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

impl Opened {
    fn real(&mut self) -> *mut ffi::sqlite3_file {
        self.real.as_mut_ptr().cast()
    }

    /// Does something to the file, unless it must fail, and notes that it was done. The directory is locked from
    /// the beginning to the end, so that what is noted is in the order of what was done.
    fn track(
        &mut self,
        operation: Operation,
        act: impl FnOnce(*mut ffi::sqlite3_file) -> c_int,
        note: impl FnOnce(&mut Directory, FileId),
    ) -> c_int {
        let real = self.real.as_mut_ptr().cast();
        let Some(tracked) = &self.tracked else { return act(real) };
        let mut directory = mount::lock(&tracked.directory);
        if let Err(code) = directory.about_to(operation, &tracked.name) {
            if operation == Operation::Sync {
                directory.fail_to_sync(tracked.id);
            }
            return code;
        }
        let code = act(real);
        if code == ffi::SQLITE_OK {
            note(&mut directory, tracked.id);
        }
        code
    }
}

impl Tracked {
    /// The file at `path` if its directory is mounted, and the error if it must not be made.
    fn open(path: &Path, flags: c_int) -> Result<Option<Tracked>, c_int> {
        let Some((directory, name)) = mount::find(path) else { return Ok(None) };
        let id = {
            let mut locked = mount::lock(&directory);
            match locked.disk.find(&name) {
                Some(id) => id,
                // It may be there already: made by other means, so nothing of it is durable.
                None => {
                    locked.about_to(Operation::Make, &name)?;
                    let content = std::fs::read(path).unwrap_or_default();
                    locked.disk.make(&name, &content)
                }
            }
        };
        let journal = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
        let sync_directory = flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & journal != 0;
        Ok(Some(Tracked { directory, name, id, sync_directory }))
    }
}

/// # Safety
/// `name` must be null or a string that ends with a zero, and that lives as long as the result is used.
unsafe fn path<'a>(name: *const c_char) -> Option<&'a Path> {
    // SAFETY: by the contract of this function.
    (!name.is_null()).then(|| Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes())))
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls it with our VFS, whose `pAppData` is the real one; with a name that lives until the file
    // is closed, or none; and with `szOsFile` bytes for the handle, of which no other thread knows yet. It does not
    // close a file whose methods are null. The real VFS gets as much zeroed memory as it asks for.
    unsafe {
        let handle = file.cast::<Handle>();
        (*handle).base.pMethods = std::ptr::null();
        let real_vfs = (*vfs).pAppData.cast::<ffi::sqlite3_vfs>();
        let words = ((*real_vfs).szOsFile as usize).div_ceil(size_of::<u64>());
        let mut opened = Box::new(Opened { real: vec![0; words].into_boxed_slice(), tracked: None });
        let Some(open) = (*real_vfs).xOpen else { return ffi::SQLITE_CANTOPEN };
        // A file that is deleted when it is closed needs no durability.
        let lasting = path(name).filter(|_| flags & ffi::SQLITE_OPEN_DELETEONCLOSE == 0);
        let code = open(real_vfs, name, opened.real(), flags, flags_out);
        if code == ffi::SQLITE_OK {
            match lasting.map_or(Ok(None), |path| Tracked::open(path, flags)) {
                Ok(tracked) => opened.tracked = tracked,
                Err(code) => {
                    call_close(opened.real());
                    return code;
                }
            }
            (*handle).opened = Box::into_raw(opened);
            (*handle).base.pMethods = &raw const METHODS;
        }
        code
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: as for `open`. The directory is locked for the real deletion, so that nobody opens the file meanwhile.
    unsafe {
        let real_vfs = (*vfs).pAppData.cast::<ffi::sqlite3_vfs>();
        let Some(delete) = (*real_vfs).xDelete else { return ffi::SQLITE_IOERR_DELETE };
        let Some((directory, file)) = path(name).and_then(mount::find) else {
            return delete(real_vfs, name, sync_directory);
        };
        let mut directory = mount::lock(&directory);
        if let Err(code) = directory.about_to(Operation::Delete, &file) {
            return code;
        }
        let code = delete(real_vfs, name, 0);
        if code == ffi::SQLITE_OK {
            directory.disk.delete(&file);
            if sync_directory != 0 {
                directory.disk.sync_directory();
            }
        }
        code
    }
}

/// # Safety
/// `file` must be an open file of the real VFS.
unsafe fn call_close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: by the contract of this function; a real file that was opened has its methods.
    unsafe { (*(*file).pMethods).xClose.map_or(ffi::SQLITE_OK, |close| close(file)) }
}

/// # Safety
/// `file` must be one that `open` has opened and that was not closed. SQLite uses a file from one thread at a time.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Opened {
    // SAFETY: by the contract of this function, `opened` is what `open` put there, and nobody else uses it now.
    unsafe { &mut *(*file.cast::<Handle>()).opened }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes an open file once, and forgets it then.
    unsafe {
        let mut opened = Box::from_raw((*file.cast::<Handle>()).opened);
        call_close(opened.real())
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, bytes: c_int, offset: i64) -> c_int {
    // SAFETY: `file` is open, and the real file has all methods; SQLite gives `bytes` bytes at `to`.
    let act = |real: *mut ffi::sqlite3_file| unsafe {
        (*(*real).pMethods).xRead.map_or(ffi::SQLITE_IOERR_READ, |read| read(real, to, bytes, offset))
    };
    // SAFETY: `file` is open.
    unsafe { opened(file) }.track(Operation::Read, act, |_, _| {})
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, bytes: c_int, offset: i64) -> c_int {
    // SAFETY: `file` is open, and the real file has all methods; SQLite gives `bytes` bytes at `from`.
    let act = |real: *mut ffi::sqlite3_file| unsafe {
        (*(*real).pMethods).xWrite.map_or(ffi::SQLITE_IOERR_WRITE, |write| write(real, from, bytes, offset))
    };
    // SAFETY: SQLite gives `bytes` bytes at `from`, which nobody changes during the call.
    let content = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), bytes as usize) };
    // SAFETY: `file` is open.
    unsafe { opened(file) }.track(Operation::Write, act, |directory, id| {
        directory.disk.write(id, offset as usize, content);
    })
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: `file` is open, and the real file has all methods.
    let act = |real: *mut ffi::sqlite3_file| unsafe {
        (*(*real).pMethods).xTruncate.map_or(ffi::SQLITE_IOERR_TRUNCATE, |truncate| truncate(real, length))
    };
    // SAFETY: `file` is open.
    unsafe { opened(file) }.track(Operation::Resize, act, |directory, id| {
        directory.disk.resize(id, length as usize);
    })
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: `file` is open.
    let opened = unsafe { opened(file) };
    let sync_directory = opened.tracked.as_ref().is_some_and(|tracked| tracked.sync_directory);
    let code = opened.track(
        Operation::Sync,
        |_| ffi::SQLITE_OK,
        |directory, id| {
            directory.disk.sync(id);
            if sync_directory {
                directory.disk.sync_directory();
            }
        },
    );
    if let Some(tracked) = opened.tracked.as_mut().filter(|_| code == ffi::SQLITE_OK) {
        tracked.sync_directory = false;
    }
    code
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, what: c_int, argument: *mut c_void) -> c_int {
    if matches!(what, ffi::SQLITE_FCNTL_SIZE_HINT | ffi::SQLITE_FCNTL_CHUNK_SIZE | ffi::SQLITE_FCNTL_MMAP_SIZE) {
        return ffi::SQLITE_NOTFOUND;
    }
    // SAFETY: `file` is open, and the real file has all methods.
    unsafe {
        let real = opened(file).real();
        (*(*real).pMethods).xFileControl.map_or(ffi::SQLITE_NOTFOUND, |control| control(real, what, argument))
    }
}

/// Methods that are only passed on.
macro_rules! pass_on {
    ($($function:ident = $method:ident($($argument:ident: $kind:ty),*) -> $result:ty, else $missing:expr;)*) => {$(
        unsafe extern "C" fn $function(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) -> $result {
            // SAFETY: `file` is open; the real file has all methods, and gets the arguments that SQLite gave.
            unsafe {
                let real = opened(file).real();
                (*(*real).pMethods).$method.map_or($missing, |method| method(real $(, $argument)*))
            }
        }
    )*};
}

pass_on! {
    file_size = xFileSize(size: *mut i64) -> c_int, else ffi::SQLITE_IOERR_FSTAT;
    lock = xLock(level: c_int) -> c_int, else ffi::SQLITE_IOERR_LOCK;
    unlock = xUnlock(level: c_int) -> c_int, else ffi::SQLITE_IOERR_UNLOCK;
    check_reserved_lock = xCheckReservedLock(held: *mut c_int) -> c_int, else ffi::SQLITE_IOERR_CHECKRESERVEDLOCK;
    sector_size = xSectorSize() -> c_int, else 4096;
    device_characteristics = xDeviceCharacteristics() -> c_int, else 0;
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void) -> c_int, else ffi::SQLITE_IOERR_SHMMAP;
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int, else ffi::SQLITE_IOERR_SHMLOCK;
    shm_barrier = xShmBarrier() -> (), else ();
    shm_unmap = xShmUnmap(delete: c_int) -> c_int, else ffi::SQLITE_IOERR_SHMMAP;
}
