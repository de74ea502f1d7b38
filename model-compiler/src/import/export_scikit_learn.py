# Writes a fitted tree, forest or gradient boosting of scikit-learn for `model-compiler import`.
import json
import numpy as np

OF_MODEL = ["classes_", "n_features_in_", "feature_names_in_", "init_", "loss", "learning_rate"]
OF_TREE = ["children_left", "children_right", "feature", "threshold", "value", "n_node_samples"]


def export(model, path):
    said = {"scikit-learn": type(model).__name__} | {name: getattr(model, name, None) for name in OF_MODEL}
    trees = [estimator.tree_ for estimator in np.ravel(getattr(model, "estimators_", model))]
    said["trees"] = [{name: getattr(tree, name) for name in OF_TREE} for tree in trees]
    with open(path, "w") as file:
        json.dump(said, file, default=lambda of: of.tolist() if hasattr(of, "tolist") else vars(of))
