//! `model-compiler decide`: the appliance's own decisions about captures of sources that the model has not seen.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use model_compiler::corpus::LabelledCapture;
use model_compiler::decisions::provenance::{Config, Judges, Provenance, digest};
use model_compiler::decisions::tables::{beside_others, by_place, by_threshold, summarise, table};
use model_compiler::decisions::{Appliance, BALANCED, Decisions, Setting, Threshold};
use model_compiler::extract::BENIGN;
use model_compiler::folds::{Grouping, Part, Parts, Split, split};
use model_compiler::model::Model;
use model_compiler::progress::Progress;
use model_compiler::recipe::Recipe;
use model_compiler::rows::{Capture, Rows};
use model_compiler::train::stump::{Target, majority, train_stump};
use model_compiler::train::{Labelled, labelled, steps, train};

use crate::bars::Bars;
use crate::{chosen, named_directory, read_corpus, read_model, read_rows, recipe};

/// What to decide about, and with what.
#[derive(Args)]
pub struct DecideArguments {
    /// Folder of the model.
    model: PathBuf,
    /// A corpus, as for `extract`.
    #[arg(long = "corpus", value_name = "NAME=DIR", required = true, value_parser = named_directory)]
    corpora: Vec<(String, PathBuf)>,
    /// The table of rows that was extracted from these corpora; model.json as it is needs none.
    #[arg(long, required_unless_present = "as_it_is")]
    rows: Option<PathBuf>,
    /// The `sluice` program.
    #[arg(long)]
    sluice: PathBuf,
    /// A configuration whose rules stand beside the model, in the place of the default ones.
    #[arg(long)]
    config: Option<PathBuf>,
    /// How many parts the sources are split into, from 2 to 50; each is decided about by a model of the others. With
    /// `each-source` each source is one, with `each-corpus` each corpus.
    #[arg(long, default_value = "5", value_name = "N|each-source|each-corpus")]
    folds: Parts,
    /// An earlier result for the same recipe, rows and parts: its models, which it left in a folder beside it, are asked again instead of
    /// trained anew. For other rules, thresholds or another `sluice`.
    #[arg(long, value_name = "FILE", conflicts_with = "as_it_is")]
    judges_of: Option<PathBuf>,
    /// Decide by model.json as it is.
    #[arg(long)]
    as_it_is: bool,
    /// Decide by these thresholds as well, in sums of log-odds: how much evidence it takes to block. Profiles are chosen by that.
    #[arg(long, value_name = "N,N...", value_delimiter = ',')]
    block_evidence: Vec<f32>,
    /// Where to write each decision, as JSON: `evaluate --decisions` takes it into the card.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Who decides about captures, and has learnt from none of their sources.
struct Judge<'a> {
    model: Model,
    /// The best single comparison of harmless flows with threats, by the same rows.
    stump: Option<Model>,
    captures: Vec<&'a LabelledCapture>,
}

/// What the best single comparisons are called.
const STUMP: &str = "stump";

/// Trains, replays, prints the summary and writes the decisions.
///
/// # Errors
/// Something cannot be read, written or run.
pub fn decide(arguments: &DecideArguments) -> Result<()> {
    let recipe_file = arguments.model.join("recipe.toml");
    let (recipe, recipe_digest) = (recipe(&arguments.model)?, digest_of(&recipe_file)?);
    let config = arguments.config.as_deref().map(config_of).transpose()?;
    let captures = captures(&arguments.corpora, &recipe)?;
    let appliance = Appliance {
        program: arguments.sluice.clone(),
        scratch: models_beside(&arguments.out),
        config: arguments.config.clone(),
    };
    let thresholds = arguments.block_evidence.iter();
    let thresholds =
        thresholds.map(|block_evidence| Threshold { block_evidence: *block_evidence, decided: Vec::new() });
    let bars = Bars::new();
    let (judges, who) = match arguments.rows.as_deref().filter(|_| !arguments.as_it_is) {
        None => as_it_is(&arguments.model.join("model.json"), &captures)?,
        Some(path) => {
            let lesson = Lesson::read(path, &recipe, arguments.folds)?;
            let earlier = arguments.judges_of.as_deref();
            let earlier = earlier.map(|earlier| lesson.models_of(earlier, &recipe_digest)).transpose()?;
            (lesson.judges(&captures, &recipe, earlier.as_deref(), &bars)?, lesson.who)
        }
    };
    forget(&arguments.out)?;
    let mut all = Decisions {
        provenance: Provenance { recipe: recipe_digest, judges: who, config },
        model: Vec::new(),
        stump: Vec::new(),
        majority: Vec::new(),
        thresholds: thresholds.collect(),
    };
    for Judge { model, stump, captures } in judges {
        bars.say(&format!("{}: {} leaves, {} captures", model.name, model.leaves(), captures.len()));
        all.model.extend(appliance.decide(&model, &captures, &Setting::profiles(), &bars)?);
        for Threshold { block_evidence, decided } in &mut all.thresholds {
            let setting = Setting { profile: BALANCED, block_evidence: Some(*block_evidence) };
            decided.extend(appliance.decide(&model, &captures, &[setting], &bars)?);
        }
        if let Some(stump) = stump {
            all.stump.extend(appliance.decide(&stump, &captures, &[Setting::balanced()], &bars)?);
            let majority = majority(&stump, &recipe)?;
            all.majority.extend(appliance.decide(&majority, &captures, &[Setting::balanced()], &bars)?);
        }
    }
    drop(bars);
    println!("{}", table(&summarise(&all.model, &recipe.class_names()?)));
    println!("{}", by_place(&all.model, &recipe.class_names()?));
    if !all.stump.is_empty() {
        println!("{}", beside_others(&all, &recipe.class_names()?));
    }
    if !all.thresholds.is_empty() {
        println!("{}", by_threshold(&all.thresholds, &recipe.class_names()?));
    }
    for case in all.model.iter().filter(|case| case.profile == BALANCED) {
        let passed = case.caught_s.is_none() && case.label != BENIGN;
        if passed || !case.wrongful.is_empty() {
            let wrongful: Vec<String> = case.wrongful.iter().map(ToString::to_string).collect();
            println!("{}{} {}", if passed { "passed: " } else { "" }, case.capture, wrongful.join(", "));
        }
    }
    let text = serde_json::to_string_pretty(&all)?;
    fs::write(&arguments.out, text).with_context(|| format!("cannot write {}", arguments.out.display()))
}

/// Removes an earlier result, whose models are about to be written over: a run that is cut off leaves no decisions beside the models of others.
fn forget(decisions: &Path) -> Result<()> {
    match fs::remove_file(decisions) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", decisions.display()))
        }
        _ => Ok(()),
    }
}

pub(crate) fn digest_of(path: &Path) -> Result<String> {
    digest(path).with_context(|| format!("cannot read {}", path.display()))
}

fn config_of(path: &Path) -> Result<Config> {
    Ok(Config { path: path.display().to_string(), digest: digest_of(path)? })
}

/// The finished model, which decides about all captures.
fn as_it_is<'a>(path: &Path, captures: &'a [LabelledCapture]) -> Result<(Vec<Judge<'a>>, Judges)> {
    let (model, digest) = (read_model(path)?, digest_of(path)?);
    Ok((vec![Judge { model, stump: None, captures: captures.iter().collect() }], Judges::AsItIs { model: digest }))
}

/// Where the models are that decided what a file holds.
pub(crate) fn models_beside(decisions: &Path) -> PathBuf {
    decisions.with_extension("models")
}

/// The model that decided about the captures of one part, in the folder of all of them.
fn model_without(folder: &Path, name: &str, fold: usize) -> Result<Model> {
    read_model(&folder.join(format!("{}.json", name_without(name, fold))))
}

fn name_without(name: &str, fold: usize) -> String {
    format!("{name}-without-{fold}")
}

/// The models that decided what a file holds, one for each of so many parts.
///
/// # Errors
/// One is missing or cannot be read.
pub(crate) fn models_that_decided(decisions: &Path, name: &str, folds: usize) -> Result<Vec<Model>> {
    let folder = models_beside(decisions);
    (0..folds).map(|fold| model_without(&folder, name, fold)).collect()
}

/// What models learn from, each of which decides about what it has not seen.
struct Lesson {
    rows: Rows,
    split: Split,
    who: Judges,
}

impl Lesson {
    fn read(path: &Path, recipe: &Recipe, parts: Parts) -> Result<Self> {
        let (rows, digest) = (read_rows(path, recipe)?, digest_of(path)?);
        let labelled = chosen(&rows, recipe)?;
        let split = split(&rows, &labelled, recipe.class_count(), Grouping::Source, parts);
        let who = Judges::Trained { rows: digest, unseen: split.grouping, parts: split.folds };
        Ok(Self { rows, split, who })
    }

    /// The folder with the models of an earlier result.
    ///
    /// # Errors
    /// They have learnt from something else.
    fn models_of(&self, earlier: &Path, recipe_digest: &str) -> Result<PathBuf> {
        let name = earlier.display();
        let text = fs::read_to_string(earlier).with_context(|| format!("cannot read {name}"))?;
        let made: Decisions = serde_json::from_str(&text).with_context(|| format!("{name} holds no decisions"))?;
        ensure!(
            made.provenance.recipe == recipe_digest && made.provenance.judges == self.who,
            "{name} is by models of another recipe, other rows or other parts: leave --judges-of out"
        );
        Ok(models_beside(earlier))
    }

    fn judges<'a>(
        &self,
        captures: &'a [LabelledCapture],
        recipe: &Recipe,
        earlier: Option<&Path>,
        bars: &Bars,
    ) -> Result<Vec<Judge<'a>>> {
        judges(captures, &self.split, recipe, &self.rows, &labelled(&self.rows, recipe)?, earlier, bars)
    }
}

/// The captures of all corpora that the recipe wants decided about, whether it has a class for them or not.
fn captures(corpora: &[(String, PathBuf)], recipe: &Recipe) -> Result<Vec<LabelledCapture>> {
    let mut captures = Vec::new();
    for (name, directory) in corpora {
        let corpus = read_corpus(recipe, name, directory)?;
        for mut capture in corpus.captures.into_iter().filter(|capture| recipe.decides_about(&capture.name)) {
            capture.source = recipe.source(&capture.source).to_owned();
            captures.push(capture);
        }
    }
    Ok(captures)
}

/// The part that each capture is in, or none where no model has learnt from its group, because there is nothing to learn from: that
/// any model may be asked about.
///
/// # Errors
/// The rows know the capture by another source, or do not know a group that there is something to learn from.
fn places(
    captures: &[LabelledCapture],
    split: &Split,
    recipe: &Recipe,
    rows: &Rows,
    labelled: &[Labelled<'_>],
) -> Result<Vec<Option<usize>>> {
    let grouping = split.grouping;
    let of_row = |case: &Labelled<'_>| {
        let Capture { name, source } = &rows.captures[case.row.capture];
        (grouping.of(name, source), split.fold_of[case.row.capture])
    };
    let fold_of: BTreeMap<&str, usize> = labelled.iter().map(of_row).collect();
    let sources: BTreeMap<&str, &str> =
        rows.captures.iter().map(|capture| (capture.name.as_str(), capture.source.as_str())).collect();
    let rules = recipe.class_rules()?;
    let place = |of: &LabelledCapture| {
        let LabelledCapture { name, source, label, .. } = of;
        let in_rows = sources.get(name.as_str());
        if let Some(other) = in_rows.filter(|in_rows| **in_rows != source.as_str()) {
            bail!("{name} is of the source {source}, and its rows are of {other}: `extract` the rows again");
        }
        let fold = fold_of.get(grouping.of(name, source)).copied();
        let is_learnt = rules.iter().any(|rule| rule.labels.contains(label)) && !recipe.excludes(name);
        ensure!(
            fold.is_some() || !is_learnt,
            "{name}: there are no rows of its {} {:?}: `extract` the rows again, or leave the capture out by [[exclude]] in the recipe",
            grouping.name(),
            grouping.of(name, source)
        );
        Ok(fold)
    };
    captures.iter().map(place).collect()
}

/// A model for each part of the sources, or of the corpora, which has learnt from the others, or did so earlier and is in that folder. Each
/// capture is decided about once.
fn judges<'a>(
    captures: &'a [LabelledCapture],
    split: &Split,
    recipe: &Recipe,
    rows: &Rows,
    labelled: &[Labelled<'_>],
    earlier: Option<&Path>,
    bars: &Bars,
) -> Result<Vec<Judge<'a>>> {
    let rules = recipe.class_rules()?;
    let places = places(captures, split, recipe, rows, labelled)?;
    let mut judges = Vec::new();
    bars.begin("trees", steps(recipe) * split.folds as u64);
    for part in split.parts(labelled, &rules) {
        let Part { fold, learnt, .. } = part?;
        let (model, stump) = if let Some(folder) = earlier {
            (model_without(folder, &recipe.name, fold)?, model_without(folder, STUMP, fold)?)
        } else {
            let [name, stump_name] = [recipe.name.as_str(), STUMP].map(|name| name_without(name, fold));
            let model = Model { name, ..train(rows, &learnt, recipe, bars)? };
            (model, Model { name: stump_name, ..train_stump(&learnt, recipe, Target::AnyThreat)? })
        };
        // What no model has learnt from is asked of the first one.
        let is_first = judges.is_empty();
        let placed = captures.iter().zip(&places);
        let unseen = placed.filter(|(_, place)| place.map_or(is_first, |place| place == fold));
        judges.push(Judge { model, stump: Some(stump), captures: unseen.map(|(capture, _)| capture).collect() });
    }
    Ok(judges)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model_compiler::json;
    use model_compiler::progress::Silent;
    use model_compiler::rows::Row;
    use traffic::features::FEATURE_COUNT;
    use traffic::features::schema::index_of;

    use super::*;
    use crate::small::recipe_text;

    fn recipe() -> Recipe {
        toml::from_str(&recipe_toml()).unwrap()
    }

    fn recipe_toml() -> String {
        let classes = [("benign", r#"["benign"]"#, 1.0), ("scan", r#"["scan"]"#, 1.0)];
        let tree = "max_depth = 3\nmin_leaf_share = 0\nmin_gain = 0\nsmoothing = 1";
        let text = recipe_text(&classes, tree).replace("[corpora]", "[corpora.lab]\nbackground = \"benign\"");
        let exclude =
            |capture, more| format!("[[exclude]]\ncaptures = \"lab/tunnel/{capture}\"\nwhy = \"a test\"\n{more}\n");
        format!("{text}{}{}", exclude("x", ""), exclude("z", "decided = true"))
    }

    /// Four sources, each with a harmless capture, a scan and one of no class; each counts ports in its own range.
    const LABELS: [&str; 3] = ["benign", "scan", "tunnel"];

    fn rows() -> Rows {
        let mut rows = Rows::default();
        for source in 0..4_u8 {
            for (at, label) in LABELS.iter().enumerate() {
                let capture = rows.captures.len();
                rows.captures
                    .push(Capture { name: format!("lab/{label}/{source}.pcap"), source: format!("source {source}") });
                let label = rows.label(label);
                let mut features = [0.0; FEATURE_COUNT];
                features[index_of("src_ports_60s").unwrap()] = f32::from(source) + 10.0 * at as f32;
                rows.rows.push(Row { capture, label, initiator: 0, flow: 0, packets: 1, features });
            }
        }
        rows
    }

    /// The corpus of these rows, with two captures that the recipe excludes, one of which is decided about, and one of a source that gave
    /// no row.
    fn corpus(folder: &Path, rows: &Rows) {
        let mut table = String::from("class,file,attacker,victim,label_granularity,source_repo\n");
        let of_rows = rows.captures.iter().map(|capture| (&capture.name["lab/".len()..], capture.source.as_str()));
        for (file, source) in
            of_rows.chain([("tunnel/x.pcap", "source 1"), ("tunnel/y.pcap", "silent"), ("tunnel/z.pcap", "source 2")])
        {
            table.push_str(&format!("{},{file},,,all,{source}\n", file.split('/').next().unwrap()));
        }
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("labels.csv"), table).unwrap();
    }

    #[test]
    fn a_changed_together_holds_for_rows_that_were_extracted_before() {
        let (rows, recipe) = (rows(), recipe());
        let folder = std::env::temp_dir().join(format!("sluice-together-{}", std::process::id()));
        corpus(&folder, &rows);
        let table = folder.join("rows.csv");
        rows.write(&table).unwrap();
        let judged = |recipe: &Recipe| -> Vec<BTreeSet<String>> {
            let captures = captures(&[("lab".to_owned(), folder.clone())], recipe).unwrap();
            let parts = Parts::Each(Grouping::Source);
            let lesson = Lesson::read(&table, recipe, parts).unwrap();
            let judges = lesson.judges(&captures, recipe, None, &Bars::new()).unwrap();
            let sources = |judge: &Judge<'_>| judge.captures.iter().map(|of| of.source.clone()).collect();
            judges.iter().map(sources).collect()
        };
        let own = |sources: &[&str]| sources.iter().map(|source| (*source).to_owned()).collect::<BTreeSet<_>>();
        let apart = [own(&["silent", "source 0"]), own(&["source 1"]), own(&["source 2"]), own(&["source 3"])];
        assert_eq!(judged(&recipe), apart);
        let text = "[together]\nboth = [\"source 2\", \"source 3\"]\n[rows]";
        let together = toml::from_str(&recipe_toml().replace("[rows]", text)).unwrap();
        assert_eq!(judged(&together), [own(&["both", "silent"]), own(&["source 0"]), own(&["source 1"])]);
        let extracted = read_corpus(&together, "lab", &folder).unwrap();
        assert!(extracted.captures.iter().any(|of| of.source == "source 3"), "the rows hold sources as published");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn models_of_an_earlier_result_are_asked_again_unless_they_learnt_something_else() {
        let (rows, recipe) = (rows(), recipe());
        let folder = std::env::temp_dir().join(format!("sluice-judges-{}", std::process::id()));
        corpus(&folder, &rows);
        let captures = captures(&[("lab".to_owned(), folder.clone())], &recipe).unwrap();
        let (table, earlier) = (folder.join("rows.csv"), folder.join("decisions.json"));
        rows.write(&table).unwrap();
        let lesson = |parts| Lesson::read(&table, &recipe, parts).unwrap();
        let each = lesson(Parts::Each(Grouping::Source));
        let trained = each.judges(&captures, &recipe, None, &Bars::new()).unwrap();
        fs::create_dir(models_beside(&earlier)).unwrap();
        for model in trained.iter().flat_map(|judge| [Some(&judge.model), judge.stump.as_ref()]).flatten() {
            let file = models_beside(&earlier).join(format!("{}.json", model.name));
            fs::write(file, json::write(model).unwrap()).unwrap();
        }
        let provenance = Provenance { recipe: "this".to_owned(), judges: each.who.clone(), config: None };
        let made = Decisions {
            provenance,
            model: Vec::new(),
            stump: Vec::new(),
            majority: Vec::new(),
            thresholds: Vec::new(),
        };
        fs::write(&earlier, serde_json::to_string(&made).unwrap()).unwrap();

        let models = each.models_of(&earlier, "this").unwrap();
        let again = each.judges(&captures, &recipe, Some(&models), &Bars::new()).unwrap();
        let what = |judges: &[Judge<'_>]| -> Vec<_> {
            let of = |judge: &Judge<'_>| (judge.model.clone(), judge.stump.clone(), judge.captures.len());
            judges.iter().map(of).collect()
        };
        assert_eq!(what(&again), what(&trained));
        for refused in [each.models_of(&earlier, "another"), lesson(Parts::Count(2)).models_of(&earlier, "this")] {
            assert!(refused.unwrap_err().to_string().contains("leave --judges-of out"));
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_run_that_is_cut_off_leaves_no_decisions_beside_other_models() {
        let folder = std::env::temp_dir().join(format!("sluice-cut-off-{}", std::process::id()));
        corpus(&folder, &rows());
        fs::write(folder.join("recipe.toml"), recipe_toml()).unwrap();
        let (table, out) = (folder.join("rows.csv"), folder.join("decisions.json"));
        rows().write(&table).unwrap();
        fs::write(&out, "of an earlier run").unwrap();
        let arguments = DecideArguments {
            model: folder.clone(),
            corpora: vec![("lab".to_owned(), folder.clone())],
            rows: Some(table),
            sluice: PathBuf::from("/bin/false"),
            config: None,
            folds: Parts::Count(2),
            judges_of: None,
            as_it_is: false,
            block_evidence: Vec::new(),
            out: out.clone(),
        };
        assert!(decide(&arguments).is_err(), "nothing replays");
        assert!(!out.exists() && models_beside(&out).exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_capture_that_the_rows_do_not_know_is_named() {
        let (mut rows, recipe) = (rows(), recipe());
        let folder = std::env::temp_dir().join(format!("sluice-unknown-{}", std::process::id()));
        corpus(&folder, &rows);
        let captures = captures(&[("lab".to_owned(), folder.clone())], &recipe).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let refusal = |rows: &Rows| {
            let labelled = labelled(rows, &recipe).unwrap();
            let split = split(rows, &labelled, 2, Grouping::Source, Parts::Each(Grouping::Source));
            judges(&captures, &split, &recipe, rows, &labelled, None, &Bars::new())
                .err()
                .map(|refusal| refusal.to_string())
        };
        rows.captures[1].source = "source 1".to_owned();
        let told = refusal(&rows).unwrap();
        assert!(told.contains("lab/scan/0.pcap is of the source source 0, and its rows are of source 1"), "{told}");
        rows.captures[1].source = "source 0".to_owned();
        assert_eq!(refusal(&rows), None);
        rows.rows.retain(|row| row.capture >= LABELS.len());
        let told = refusal(&rows).unwrap();
        assert!(told.contains("lab/benign/0.pcap: there are no rows of its source \"source 0\""), "{told}");
    }

    #[test]
    fn a_corpus_is_judged_by_a_model_of_the_others_though_they_share_sources() {
        let mut rows = rows();
        let folder = std::env::temp_dir().join(format!("sluice-corpora-{}", std::process::id()));
        corpus(&folder, &rows);
        let mut captures = captures(&[("lab".to_owned(), folder.clone())], &recipe()).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        captures.truncate(rows.captures.len());
        for (read, of) in captures.iter_mut().zip(&mut rows.captures).skip(LABELS.len() * 2) {
            of.name = of.name.replace("lab/", "other/");
            of.source = "source 0".to_owned();
            (read.name, read.source) = (of.name.clone(), of.source.clone());
        }
        let labelled = labelled(&rows, &recipe()).unwrap();
        let parts = Parts::Each(Grouping::Corpus);
        let split = split(&rows, &labelled, 2, Grouping::Source, parts);
        let judged: Vec<Vec<String>> = judges(&captures, &split, &recipe(), &rows, &labelled, None, &Bars::new())
            .unwrap()
            .into_iter()
            .map(|judge| judge.captures.iter().map(|of| of.name.clone()).collect())
            .collect();
        let names: Vec<String> = rows.captures.iter().map(|capture| capture.name.clone()).collect();
        assert_eq!(judged, names.chunks(LABELS.len() * 2).map(<[String]>::to_vec).collect::<Vec<_>>());
    }

    #[test]
    fn each_capture_is_judged_once_by_a_model_that_has_learnt_nothing_of_its_source() {
        let (rows, recipe) = (rows(), recipe());
        let labelled = labelled(&rows, &recipe).unwrap();
        let folder = std::env::temp_dir().join(format!("sluice-decide-{}", std::process::id()));
        corpus(&folder, &rows);
        let captures = captures(&[("lab".to_owned(), folder.clone())], &recipe).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        for (parts, models) in [(Parts::Count(2), 2), (Parts::Each(Grouping::Source), 4)] {
            let split = split(&rows, &labelled, 2, Grouping::Source, parts);
            let judges = judges(&captures, &split, &recipe, &rows, &labelled, None, &Bars::new()).unwrap();
            assert_eq!(judges.len(), models);
            let mut judged: Vec<&str> =
                judges.iter().flat_map(|judge| &judge.captures).map(|of| of.name.as_str()).collect();
            judged.sort_unstable();
            let mut all: Vec<&str> = rows.captures.iter().map(|capture| capture.name.as_str()).collect();
            all.extend(["lab/tunnel/y.pcap", "lab/tunnel/z.pcap"]);
            all.sort_unstable();
            assert_eq!(
                judged, all,
                "what is to be left out is in no model's list, and what the recipe has no class for is in one"
            );
            for Judge { model, stump, captures } in &judges {
                let sources: BTreeSet<&str> = captures.iter().map(|capture| capture.source.as_str()).collect();
                let of_others = |case: &&Labelled<'_>| !sources.contains(&*rows.captures[case.row.capture].source);
                let others: Vec<Labelled<'_>> = labelled.iter().filter(of_others).copied().collect();
                let expected = train(&rows, &others, &recipe, &Silent).unwrap();
                assert_eq!((&model.trees, &model.ranges), (&expected.trees, &expected.ranges), "{sources:?}");
                let expected = train_stump(&others, &recipe, Target::AnyThreat).unwrap();
                assert_eq!(stump.as_ref().map(|stump| &stump.trees), Some(&expected.trees), "{sources:?}");
            }
        }
    }
}
