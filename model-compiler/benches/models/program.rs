//! The program that asks the models: `program ROWS ROUNDS`. Prints a line for each model, form and round, as rival.c does.
//!
//! `model-compiler/benches/models/main.rs` puts the list of models before this text.

use std::hint::black_box;
use std::time::Instant;

/// Place of the class that a model decides for.
type Ask = fn(&[f32; FEATURES]) -> usize;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let bytes = std::fs::read(&words[1]).unwrap();
    let numbers: Vec<f32> = bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    let (rows, _) = numbers.as_chunks::<FEATURES>();
    for _ in 0..words[2].parse::<usize>().unwrap() {
        for (name, form, ask) in MODELS {
            let begin = Instant::now();
            let sum: usize = rows.iter().map(|row| black_box(ask)(row)).sum();
            let ns = begin.elapsed().as_nanos() as f64 / rows.len() as f64;
            println!("{name} {form} {ns} {sum}");
        }
    }
}
