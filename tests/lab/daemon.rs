//! Sluice itself, running in the box of the laboratory.
