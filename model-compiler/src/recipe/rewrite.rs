//! A recipe's file changed by a program: all that need not change stays as somebody wrote it.

use std::path::Path;

use toml_edit::{DocumentMut, Item, TableLike, Value};

use super::{ForestRules, Recipe, RecipeError, TreeRules, text_of};

impl Recipe {
    /// The text of the recipe at `path`, changed so that it says what this one says; comments, order and what need not change
    /// stay as somebody wrote them. The name, `[tree]` and `[forest]` can be changed so.
    ///
    /// # Errors
    /// It cannot be read, or reads otherwise once it is changed.
    pub fn rewrite(&self, path: &Path) -> Result<String, RecipeError> {
        let text = text_of(path)?;
        let wrong = || RecipeError::Rewrite(path.to_owned());
        let mut document: DocumentMut = text.parse().map_err(|_| wrong())?;
        for (now, wanted) in Self::of(&text, path)?.values().into_iter().zip(self.values()) {
            if now.value.to_string() != wanted.value.to_string() {
                wanted.put_into(&mut document).ok_or_else(wrong)?;
            }
        }
        let text = document.to_string();
        if Self::of(&text, path)? == *self { Ok(text) } else { Err(wrong()) }
    }

    /// What a program may change.
    fn values(&self) -> Vec<Entry> {
        let TreeRules { max_depth, min_leaf_share, min_gain, ccp_alpha, .. } = self.tree;
        let mut values = vec![
            Entry { table: "tree", key: "max_depth", value: whole(max_depth) },
            Entry { table: "tree", key: "min_leaf_share", value: min_leaf_share.into() },
            Entry { table: "tree", key: "min_gain", value: min_gain.into() },
            Entry { table: "tree", key: "ccp_alpha", value: ccp_alpha.into() },
            Entry { table: "", key: "name", value: self.name.as_str().into() },
        ];
        if let Some(ForestRules { trees, feature_share, .. }) = self.forest {
            values.extend([
                Entry { table: "forest", key: "trees", value: whole(trees) },
                Entry { table: "forest", key: "feature_share", value: feature_share.into() },
            ]);
        }
        values
    }
}

fn whole(number: usize) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// A value of the file, at its key in a table; the table "" is the whole file.
struct Entry {
    table: &'static str,
    key: &'static str,
    value: Value,
}

impl Entry {
    /// Takes the place of the value that stands there, and keeps the comment behind it; where none stands there, it is added.
    fn put_into(self, document: &mut DocumentMut) -> Option<()> {
        let table = match self.table {
            "" => document.as_table_mut(),
            name => document.get_mut(name)?.as_table_like_mut()?,
        } as &mut dyn TableLike;
        let Some(item) = table.get_mut(self.key) else {
            table.insert(self.key, Item::Value(self.value));
            return Some(());
        };
        let value = item.as_value_mut()?;
        let written = value.decor().clone();
        *value = self.value;
        *value.decor_mut() = written;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Written by somebody with habits of their own.
    const ODD: &str = r#"# made by hand
        "name" = 'odd' # its name
        tree = { max_depth = 3, min_leaf_share = 1e-2, min_gain = 0, smoothing = 1 }
        forest.trees = 4 # few
        forest.feature_share = 0.5
        forest.seed = 1
        classes.benign = ["benign"]
        prior.benign = 1
        rows = { max_per_capture = 1, capture_exponent = 1, seed = 1 }
        corpora = {}
        [search]
        folds = 3
        false_alarm_cost = 10
        trees = [1, 8]
        [[exclude]]
        captures = "a"
        why = """
        [forest]
        trees = 5 would be one too many
        """
    "#;

    /// The text of a recipe, rewritten so that it says what was changed.
    fn rewritten(name: &str, text: &str, change: &dyn Fn(&mut Recipe)) -> Result<String, RecipeError> {
        let path = std::env::temp_dir().join(format!("sluice-recipe-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        let mut wanted = Recipe::read(&path).unwrap();
        change(&mut wanted);
        let text = wanted.rewrite(&path);
        fs::remove_file(&path).unwrap();
        text
    }

    #[test]
    fn a_rewritten_recipe_says_what_is_wanted_and_is_otherwise_as_it_was_written() {
        let text = rewritten("odd", ODD, &|recipe| {
            recipe.name = "new".to_owned();
            (recipe.tree.max_depth, recipe.tree.min_gain) = (9, 1e-7);
            recipe.forest.as_mut().unwrap().trees = 8;
        });
        let expected = [
            ("'odd' # its", "\"new\" # its"),
            ("max_depth = 3", "max_depth = 9"),
            ("min_gain = 0", "min_gain = 0.0000001"),
            ("forest.trees = 4", "forest.trees = 8"),
        ];
        assert_eq!(text.unwrap(), expected.iter().fold(ODD.to_owned(), |text, (from, to)| text.replace(from, to)));
        assert_eq!(rewritten("same", ODD, &|_| ()).unwrap(), ODD);
        let pruned = rewritten("pruned", ODD, &|recipe| recipe.tree.ccp_alpha = 1e-5).unwrap();
        assert!(pruned.contains("ccp_alpha = 0.00001"), "what is missing is added: {pruned}");
    }

    #[test]
    fn a_recipe_that_would_say_something_else_is_not_rewritten() {
        let refusal = rewritten("seed", ODD, &|recipe| recipe.rows.seed = 2).unwrap_err();
        assert!(refusal.to_string().contains("sluice-recipe-") && refusal.to_string().contains("by hand"), "{refusal}");
        let unsound = rewritten("calibration", ODD, &|recipe| recipe.tree.min_gain = f64::NAN);
        assert!(matches!(unsound, Err(RecipeError::Rewrite(_))), "a number that is none equals nothing");
    }
}
