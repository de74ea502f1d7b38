//! Trees of comparisons as plain tables, and the walk through them: what runs on the box.
//!
//! A walk has no branch that depends on the traffic: at each node the place of the next one is computed, and a leaf leads
//! to itself, so that a tree is walked as many steps as it is deep. Eight trees are walked at once, because a step waits
//! for memory and the steps of different trees do not wait for one another. (The layout with the right child behind the
//! left one is that of implicit tree tables: Asadi, Lin, de Vries, "Runtime Optimizations for Tree-Based Machine Learning
//! Models", IEEE TKDE 2014, who also walk several at a time.)
//!
//! Uses `core` alone, allocates nothing, and knows neither feature names nor classes: those are the caller's.

/// The most classes that a model may tell apart.
pub const MAX_CLASSES: usize = 8;

/// How many trees are walked at once.
const LANES: usize = 8;

/// In how many bits of [`Node::leads_to`] the feature stands.
const FEATURE_BITS: u32 = 8;

/// The most features that a comparison can choose from.
pub const MAX_FEATURES: usize = 1 << FEATURE_BITS;

/// The most points of a [`Curve`].
pub const MAX_KNOTS: usize = 16;

/// The most nodes of a model.
pub const MAX_NODES: usize = 1 << (u32::BITS - FEATURE_BITS);

/// How the trees make one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// Each tree gives a distribution; the mean of them counts. One tree, or a random forest.
    Mean,
    /// Each tree adds to the score of a class, and the softmax of the scores is the distribution. Gradient boosting
    /// (Friedman 2001, section 4.6).
    Softmax,
    /// As above, but the logistic functions of the scores, made to add up to 1: each class was learnt against the rest.
    OneVsRest,
}

/// One node: a comparison, or a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// On to the left where the feature is at most this, to the right where it is more. A leaf has infinity here.
    pub threshold: f32,
    /// Below, the feature; above, the place of the left child, behind which stands the right one. A leaf leads to itself.
    pub leads_to: u32,
}

impl Node {
    /// A comparison of a feature, which leads to `left` or the place behind it.
    #[must_use]
    pub const fn split(feature: u8, threshold: f32, left: u32) -> Self {
        Self { threshold, leads_to: left << FEATURE_BITS | feature as u32 }
    }

    /// A leaf that stands at `at`.
    #[must_use]
    pub const fn leaf(at: u32) -> Self {
        Self { threshold: f32::INFINITY, leads_to: at << FEATURE_BITS }
    }

    /// The place of the feature that is compared.
    #[must_use]
    pub const fn feature(self) -> usize {
        (self.leads_to % (1 << FEATURE_BITS)) as usize
    }

    /// The place of the left child.
    #[must_use]
    pub const fn left(self) -> usize {
        (self.leads_to >> FEATURE_BITS) as usize
    }

    /// It compares nothing: its threshold is above every value.
    #[must_use]
    pub const fn is_leaf(self) -> bool {
        self.threshold == f32::INFINITY
    }
}

/// Where a tree begins, and what its leaves mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// The place of its first node.
    pub at: u32,
    /// The most comparisons on the way to a leaf.
    pub depth: u32,
    /// The class whose score it adds to; none where a leaf gives a number for each class.
    pub class: Option<u8>,
}

/// A model, ready to be walked. Whoever makes one keeps to this: each node leads to places behind it and within `nodes`,
/// or to itself; `ends` is as long as `nodes`; where a leaf stands, it is a place in `values` with as many numbers behind
/// it as the tree's leaves have.
#[derive(Clone, Copy, Debug)]
pub struct Forest<'a> {
    /// How many classes there are.
    pub classes: usize,
    /// How the trees make one answer.
    pub combination: Combination,
    /// What the scores of the classes begin with.
    pub base: &'a [f32],
    /// The trees.
    pub trees: &'a [Root],
    /// The nodes of all trees.
    pub nodes: &'a [Node],
    /// At the place of a leaf, where its numbers begin in `values`.
    pub ends: &'a [u32],
    /// The numbers of all leaves.
    pub values: &'a [f32],
    /// At the place of a leaf, how many training rows ended there.
    pub rows: &'a [u32],
    /// For each class, from what the trees say of it to how often that is right; empty where what they say stands.
    pub calibration: &'a [Curve],
}

/// The most probable class, by its place, and how probable it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// Place of the class in the model's list; of equals, the first.
    pub class: usize,
    /// Its probability, 0 to 1.
    pub confidence: f32,
}

impl Best {
    /// The same class, with the confidence that the curve of the class gives for this one.
    #[must_use]
    pub fn calibrated(self, calibration: &[Curve]) -> Self {
        let confidence = calibration.get(self.class).map_or(self.confidence, |curve| curve.at(self.confidence));
        Self { confidence, ..self }
    }
}

/// A point of a [`Curve`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knot {
    /// What the trees say, 0 to 1.
    pub confidence: f32,
    /// How often that is right, 0 to 1.
    pub frequency: f32,
}

/// From a confidence to how often it is right: straight lines between knots, level before the first and behind the last. It never
/// falls. Without knots it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve {
    knots: [Knot; MAX_KNOTS],
    count: u8,
}

impl Curve {
    /// The curve through these knots; none where there are more than [`MAX_KNOTS`], one lies outside of 0 to 1, confidences do
    /// not rise or frequencies fall.
    #[must_use]
    pub const fn new(knots: &[Knot]) -> Option<Self> {
        if knots.len() > MAX_KNOTS {
            return None;
        }
        let mut curve = Self { knots: [Knot { confidence: 0.0, frequency: 0.0 }; MAX_KNOTS], count: knots.len() as u8 };
        let mut at = 0;
        while at < knots.len() {
            let Knot { confidence, frequency } = knots[at];
            if !(confidence >= 0.0 && confidence <= 1.0 && frequency >= 0.0 && frequency <= 1.0) {
                return None;
            }
            if at > 0 && !(knots[at - 1].confidence < confidence && knots[at - 1].frequency <= frequency) {
                return None;
            }
            curve.knots[at] = knots[at];
            at += 1;
        }
        Some(curve)
    }

    /// Its knots.
    #[must_use]
    pub fn knots(&self) -> &[Knot] {
        self.knots.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// How often that confidence is right.
    #[must_use]
    pub fn at(&self, confidence: f32) -> f32 {
        let knots = self.knots();
        let place = knots.partition_point(|knot| knot.confidence < confidence);
        match (place.checked_sub(1).and_then(|before| knots.get(before)), knots.get(place)) {
            (Some(left), Some(right)) => between(*left, *right, confidence),
            (Some(nearest), None) | (None, Some(nearest)) => nearest.frequency,
            (None, None) => confidence,
        }
    }
}

/// On the straight line between two knots, whose confidences differ.
fn between(left: Knot, right: Knot, confidence: f32) -> f32 {
    let [from, to, at] = [left.confidence, right.confidence, confidence].map(f64::from);
    let [low, high] = [left.frequency, right.frequency].map(f64::from);
    (low + (high - low) * ((at - from) / (to - from))) as f32
}

/// Sums of what the trees gave, in the order of the trees: the order decides the last bit.
#[derive(Clone, Copy, Debug)]
pub struct Sums([f64; MAX_CLASSES]);

impl Sums {
    /// Begins with the base scores.
    #[must_use]
    pub fn new(base: &[f32]) -> Self {
        let mut sums = [0.0; MAX_CLASSES];
        for (sum, base) in sums.iter_mut().zip(base) {
            *sum = f64::from(*base);
        }
        Self(sums)
    }

    /// Adds the numbers of a leaf: to that class, or one to each.
    #[inline]
    pub fn add(&mut self, class: Option<u8>, values: &[f32]) {
        let from = class.map_or(0, usize::from);
        for (sum, value) in self.0.iter_mut().skip(from).zip(values) {
            *sum += f64::from(*value);
        }
    }

    /// The most probable of the first `classes` classes, after `trees` trees.
    #[must_use]
    pub fn best(&self, combination: Combination, classes: usize, trees: usize) -> Best {
        let class = place_of_largest(self.of(classes));
        let shares = self.distribution(combination, classes, trees);
        Best { class, confidence: shares.get(class).copied().unwrap_or_default() as f32 }
    }

    /// How probable each of the first `classes` classes is, after `trees` trees.
    #[must_use]
    pub fn distribution(&self, combination: Combination, classes: usize, trees: usize) -> [f64; MAX_CLASSES] {
        let mut shares = [0.0; MAX_CLASSES];
        let scores = self.of(classes);
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (share, &score) in shares.iter_mut().zip(scores) {
            *share = match combination {
                Combination::Mean => score,
                Combination::Softmax => libm::exp(score - largest),
                Combination::OneVsRest => logistic(score),
            };
        }
        let total = if combination == Combination::Mean { trees.max(1) as f64 } else { shares.iter().sum() };
        shares.map(|share| share / total)
    }

    pub(crate) fn of(&self, classes: usize) -> &[f64] {
        self.0.get(..classes).unwrap_or(&self.0)
    }
}

fn place_of_largest(scores: &[f64]) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (place, &score) in scores.iter().enumerate() {
        if score > best.1 {
            best = (place, score);
        }
    }
    best.0
}

fn logistic(score: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-score))
}

impl Forest<'_> {
    /// The answer for a vector. A feature beyond its end counts as 0, and NaN as less than everything.
    #[must_use]
    pub fn best<const FEATURES: usize>(&self, features: &[f32; FEATURES]) -> Best {
        self.sums(features).best(self.combination, self.classes, self.trees.len()).calibrated(self.calibration)
    }

    /// The probability of each class by the trees, before calibration; what lies beyond the model's classes is 0.
    #[must_use]
    pub fn distribution<const FEATURES: usize>(&self, features: &[f32; FEATURES]) -> [f64; MAX_CLASSES] {
        self.sums(features).distribution(self.combination, self.classes, self.trees.len())
    }

    fn sums<const FEATURES: usize>(&self, features: &[f32; FEATURES]) -> Sums {
        let mut sums = Sums::new(self.base);
        let mut groups = self.trees.chunks_exact(LANES);
        for group in &mut groups {
            let Ok(group) = <&[Root; LANES]>::try_from(group) else { continue };
            for (root, leaf) in group.iter().zip(self.leaves(group, features)) {
                sums.add(root.class, self.values_at(root, leaf));
            }
        }
        for root in groups.remainder() {
            let [leaf] = self.leaves(&[*root], features);
            sums.add(root.class, self.values_at(root, leaf));
        }
        sums
    }

    /// The places of the leaves that the vector comes to in these trees.
    #[inline]
    fn leaves<const TREES: usize, const FEATURES: usize>(
        &self,
        trees: &[Root; TREES],
        features: &[f32; FEATURES],
    ) -> [usize; TREES] {
        let mut places = trees.map(|root| root.at as usize);
        let steps = trees.iter().map(|root| root.depth).max().unwrap_or_default();
        for _ in 0..steps {
            for place in &mut places {
                *place = self.next(*place, features);
            }
        }
        places
    }

    /// The place of the node that follows for this vector.
    #[inline]
    #[must_use]
    pub fn next<const FEATURES: usize>(&self, place: usize, features: &[f32; FEATURES]) -> usize {
        let Some(node) = self.nodes.get(place) else { return 0 };
        let value = features.get(node.feature()).copied().unwrap_or_default();
        node.left() + usize::from(value > node.threshold)
    }

    #[inline]
    fn values_at(&self, root: &Root, leaf: usize) -> &[f32] {
        let from = self.ends.get(leaf).map_or(usize::MAX, |end| *end as usize);
        let length = if root.class.is_some() { 1 } else { self.classes };
        self.values.get(from..from.saturating_add(length)).unwrap_or_default()
    }
}
