//! What the allocator does with memory that was given back to it.

/// From this size on an allocation is a mapping of its own, in bytes. It is where glibc begins.
#[cfg(target_env = "gnu")]
const OWN_MAPPING: libc::c_int = 128 << 10;

/// Keeps large allocations apart from small ones, so that the kernel has each back the moment it is
/// freed. glibc raises the bound with every large block that is freed, up to 32 MiB, and keeps what lies
/// below between small ones: after many large requests at once, for good.
pub fn give_large_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it changes a number that the allocator reads under its own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING);
    }
}
