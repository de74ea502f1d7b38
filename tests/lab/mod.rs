//! The laboratory: network namespaces, real services and real attack tools, for the demonstration and the tests.

pub mod namespace;
