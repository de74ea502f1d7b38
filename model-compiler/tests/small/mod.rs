//! Recipes for a few made-up rows.

/// The text of a recipe called `test`. `classes` are names with their labels, as TOML, and their shares of the weight; `tree` are
/// the lines of `[tree]`.
pub fn recipe_text(classes: &[(&str, &str, f64)], tree: &str) -> String {
    let labels: String = classes.iter().map(|(class, labels, _)| format!("{class} = {labels}\n")).collect();
    let prior: String = classes.iter().map(|(class, _, share)| format!("{class} = {share}\n")).collect();
    format!(
        "name = \"test\"\n[classes]\n{labels}[prior]\n{prior}[corpora]\n\
         [rows]\nmax_per_capture = 40\ncapture_exponent = 0.5\nseed = 7\n[tree]\n{tree}\n"
    )
}
