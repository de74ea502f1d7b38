//! What recipes mean, and which are refused.

use super::*;

const SMALL: &str = r#"
    name = "small"
    [classes]
    scan = ["scan"]
    benign = ["benign"]
    [prior]
    benign = 3
    scan = 1
    [corpora.public]
    background = "drop"
    [rows]
    max_per_capture = 10
    capture_exponent = 0.5
    seed = 1
    [tree]
    max_depth = 3
    min_leaf_share = 0.01
    min_gain = 1e-6
    smoothing = 1
"#;

fn refusal(text: &str) -> String {
    toml::from_str::<Recipe>(text).unwrap().class_rules().unwrap_err().to_string()
}

#[test]
fn sources_that_are_one_tool_go_by_its_name() {
    let text = SMALL.replace("[rows]", "[together]\nnmap = [\"lab/nmap-\", \"lab/mixed-scan\"]\n[rows]");
    let recipe: Recipe = toml::from_str(&text).unwrap();
    let told = ["lab/nmap-syn", "lab/mixed-scan", "lab/masscan", "nmap"].map(|source| recipe.source(source));
    assert_eq!(told, ["nmap", "nmap", "lab/masscan", "nmap"]);
}

#[test]
fn sources_keep_the_name_that_they_were_given() {
    let refusal = |together: &str| {
        let text = SMALL.replace("[rows]", &format!("[together]\n{together}\n[rows]"));
        Recipe::of(&text, Path::new("test.toml")).err().map(|refusal| refusal.to_string())
    };
    assert_eq!(refusal("nmap = [\"nmap\"]"), None);
    let told = refusal("nmap = [\"lab/nmap-\"]\nscanners = [\"nmap\"]").unwrap();
    assert!(told.contains("[together] \"nmap\""), "{told}");
}

#[test]
fn classes_come_in_the_order_of_their_numbers_with_priors_that_add_up_to_one() {
    let rules = toml::from_str::<Recipe>(SMALL).unwrap().class_rules().unwrap();
    let told: Vec<_> = rules.iter().map(|rule| (rule.class, rule.prior)).collect();
    assert_eq!(told, [(ThreatClass::Benign, 0.75), (ThreatClass::Scan, 0.25)]);
}

#[test]
fn a_recipe_that_contradicts_itself_is_refused() {
    assert!(refusal(&SMALL.replace("scan = [", "scam = [")).contains("\"scam\""));
    assert!(refusal(&SMALL.replace("scan = 1", "scan = 0")).contains("\"scan\""));
    assert!(refusal(&SMALL.replace("scan = 1", "scan = 1\nflood = 1")).contains("\"flood\""));
    assert!(refusal(&SMALL.replace("[\"scan\"]", "[\"scan\", \"benign\"]")).contains("two classes"));
}

#[test]
fn features_that_do_not_exist_are_named() {
    for key in ["ignore", "more_is_worse", "less_is_worse", "ask_first"] {
        let recipe: Recipe = toml::from_str(&format!("{SMALL}\n{key} = [\"fwd_packets\", \"ttl\"]")).unwrap();
        let refusal = recipe.tree.uses().err().or(recipe.tree.asked_first().err()).unwrap();
        assert!(refusal.to_string().contains("\"ttl\""), "{refusal}");
    }
}

#[test]
fn margins_are_of_counts_and_a_ratio_grows_as_its_counts_do() {
    let margins = |margin: &str| {
        let text = SMALL.replace("[tree]", &format!("benign_margin = {margin}\n[tree]"));
        let recipe = Recipe::of(&text, Path::new("test.toml"))?;
        let named = |(place, factor): (usize, f32)| (FEATURES[place].name, factor);
        Ok(recipe.rows.margins().into_iter().map(named).collect::<Vec<_>>())
    };
    let all: Vec<_> = margins("{ src_ = 2 }").unwrap();
    assert!(all.contains(&("src_ports_60s", 2.0)) && all.contains(&("src_hosts_60s", 2.0)));
    assert!(!all.iter().any(|(name, _)| name.contains("share") || name.contains("per")), "{all:?}");
    let apart = margins("{ src_ = 2, src_ports_60s = 6 }").unwrap();
    assert!(apart.contains(&("src_ports_60s", 6.0)) && apart.contains(&("src_ports_per_host_60s", 3.0)), "{apart:?}");
    for (margin, named) in [
        ("{ packets_per_s = 2 }", "\"packets_per_s\""),
        ("{ src_ = 2, sources_ = 2 }", "\"sources_\""),
        ("{ dst_ = 0.5 }", "\"dst_\""),
        ("{ dst_ = nan }", "\"dst_\""),
    ] {
        let refusal: RecipeError = margins(margin).unwrap_err();
        assert!(refusal.to_string().contains(named), "{refusal}");
    }
}

#[test]
fn a_misspelt_key_is_refused() {
    assert!(toml::from_str::<Recipe>(&SMALL.replace("max_depth", "depth")).is_err());
}
