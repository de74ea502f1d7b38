//! The C library's heap.

/// Has all threads share one heap. glibc gives each its own, some 100 KiB of which nobody uses; musl has only one. Threads
/// that wait for each other there do not matter, since the packet path allocates nothing. To be called before there are threads.
pub fn share_among_threads() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two numbers and touches nothing of ours. Where it refuses, there are several heaps as before.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
