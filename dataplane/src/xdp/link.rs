//! Taking a pinned XDP link off its interface (`BPF_LINK_DETACH`, Linux 5.9), which aya lacks: a link that is only unpinned
//! goes some time later, and not while another process holds it.

#![expect(unsafe_code, reason = "bpf(2) takes pointers in a union")]

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// Of `enum bpf_cmd`.
const OBJ_GET: libc::c_int = 7;
const LINK_DETACH: libc::c_int = 34;

/// The member of `union bpf_attr` for pinned objects.
#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Detaches the link that is pinned here. Of an interface that is gone it is detached already.
pub(super) fn detach_link(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut object = Object { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    let fd = bpf(OBJ_GET, &mut object)?;
    // SAFETY: a new descriptor, and nobody else's.
    let link = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut attributes = link.as_raw_fd() as u32;
    match bpf(LINK_DETACH, &mut attributes) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOLINK | libc::ENODEV)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn bpf<A>(command: libc::c_int, attributes: &mut A) -> io::Result<libc::c_int> {
    // SAFETY: `attributes` is the command's member of `union bpf_attr`, without padding, and the path in it ends with a zero
    // and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}
