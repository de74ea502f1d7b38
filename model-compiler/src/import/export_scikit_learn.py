import json
import numpy as np

def export(model, path):
    """Writes a fitted scikit-learn classifier of trees for `model-compiler import`."""
    def tree(of):
        if hasattr(of, "nodes"):  # of HistGradientBoostingClassifier
            return {name: of.nodes[name] for name in of.nodes.dtype.names} | {"value": of.nodes["value"][:, None]}
        names = ["children_left", "children_right", "feature", "threshold", "n_node_samples"]
        return {name: getattr(of.tree_, name) for name in names} | {"value": of.tree_.value[:, 0]}
    trees = getattr(model, "_predictors", getattr(model, "estimators_", [model]))
    base = getattr(model, "_baseline_prediction", [])
    if hasattr(model, "init_"):  # of GradientBoostingClassifier
        base = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))
    said = {"form": "scikit-learn 1", "kind": type(model).__name__, "classes": model.classes_,
            "features": getattr(model, "feature_names_in_", []), "base": np.ravel(base), "columns": model.n_features_in_,
            "parameters": {name: str(value) for name, value in model.get_params(deep=False).items()},
            "trees": [tree(of) for of in np.ravel(np.asarray(trees, dtype=object))]}
    with open(path, "w") as file:
        json.dump(said, file, default=lambda array: array.tolist())
