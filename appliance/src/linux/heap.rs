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

/// Gives what was freed back to the system: glibc keeps what small pieces took, for more of them. To be called after work that takes much
/// memory and is rarely done. musl gives it back by itself.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number, and only pages that nobody has are given back.
    unsafe {
        libc::malloc_trim(0);
    }
}
