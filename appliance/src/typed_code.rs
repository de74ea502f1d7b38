//! Random codes that people read off a screen and type.

/// Letters and digits that nobody takes for others.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Characters that stand together.
const GROUP: usize = 4;

/// A new code of so many groups of four, with a hyphen between them: `7k3m-xw9p`. Each group holds 20 bits.
///
/// # Errors
/// The system gives no random numbers.
pub fn typed_code<const GROUPS: usize>() -> Result<String, getrandom::Error> {
    let mut random = [[0; GROUP]; GROUPS];
    random.iter_mut().try_for_each(|group| getrandom::fill(group))?;
    Ok(random.map(|group| group.map(letter).iter().collect::<String>()).join("-"))
}

/// As many letters as there are values of five bits: none is more likely than another.
fn letter(byte: u8) -> char {
    ALPHABET.get(usize::from(byte) % ALPHABET.len()).map_or('a', |letter| char::from(*letter))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_codes_are_alike_and_all_are_of_letters_that_are_told_apart() {
        let codes: BTreeSet<String> = (0..100).map(|_| typed_code::<2>().unwrap()).collect();
        assert_eq!(codes.len(), 100);
        for code in codes {
            let (one, other) = code.split_once('-').unwrap();
            assert!(one.len() == GROUP && other.len() == GROUP && !code.contains(['l', 'o', '0', '1']), "{code}");
        }
    }

    #[test]
    fn each_letter_comes_as_often_as_the_others() {
        let letters: Vec<char> = (0..=u8::MAX).map(letter).collect();
        assert!(ALPHABET.iter().all(|one| letters.iter().filter(|letter| **letter == char::from(*one)).count() == 8));
    }
}
