//! capture_file
