//! The command of bpf(2) that aya lacks: taking a device out of a devmap.

#![expect(unsafe_code, reason = "bpf(2) takes pointers in a union")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// `BPF_MAP_DELETE_ELEM` of `enum bpf_cmd`.
const DELETE_ELEM: libc::c_int = 3;

/// The member of `union bpf_attr` for single elements.
#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Takes an element out of a map whose keys are numbers.
pub(super) fn delete(map: BorrowedFd<'_>, key: u32) -> io::Result<()> {
    let mut element =
        Element { map: map.as_raw_fd() as u32, padding: 0, key: &raw const key as u64, value: 0, flags: 0 };
    // SAFETY: the command's member of `union bpf_attr`, without padding; the key it points to has the map's size, and
    // outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, DELETE_ELEM, &raw mut element, size_of::<Element>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
