//! The one room where `unsafe` is allowed: each file is a safe wrapper over one kind of file descriptor.
#![allow(unsafe_code)]
