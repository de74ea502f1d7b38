//! dry run
