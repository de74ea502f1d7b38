"""Fits scikit-learn's decision tree for scikit_learn.rs.

usage: scikit_learn.py DIR CRITERION CCP_ALPHA FEATURES CLASSES DEPTH [CLASS_WEIGHT...]
DIR holds train_x and test_x (f32, row after row) and train_y (u8); the tree and its answers for test_x are written there.
"""

import sys

import numpy
from sklearn.tree import DecisionTreeClassifier

directory, criterion, ccp_alpha = sys.argv[1:4]
features, classes, depth = map(int, sys.argv[4:7])
weights = dict(enumerate(map(float, sys.argv[7:]))) or None


def read(name, kind):
    return numpy.fromfile(f"{directory}/{name}", kind)


train = read("train_x", "<f4").reshape(-1, features)
fitted = DecisionTreeClassifier(
    criterion=criterion, max_depth=depth, class_weight=weights, ccp_alpha=float(ccp_alpha), random_state=1
)
fitted.fit(train, read("train_y", "u1"))
assert list(fitted.classes_) == list(range(classes))

tree = fitted.tree_
for name, values in {
    "feature": tree.feature,
    "threshold": tree.threshold,
    "left": tree.children_left,
    "right": tree.children_right,
    "answers": fitted.predict_proba(read("test_x", "<f4").reshape(-1, features)),
}.items():
    numpy.asarray(values).astype("<f8").tofile(f"{directory}/{name}")
