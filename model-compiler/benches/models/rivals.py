"""The rivals of `make bench-model`. `rivals.py train DIR` trains the models on DIR/rows.csv and writes each as
DIR/NAME.model for `model-compiler import` and as C of m2cgen and tl2cgen; `rivals.py predict DIR ROUNDS` prints how long
scikit-learn's own predict takes on DIR/questions, f32, in ns per row: all rows in one call."""
import pickle
import runpy
import sys
import time
from pathlib import Path

import m2cgen
import numpy as np
import pandas
import tl2cgen
import treelite
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

directory = Path(sys.argv[2])
LEADING = 6  # columns before the features
sys.setrecursionlimit(10_000)


def train():
    export = runpy.run_path(str(Path(__file__).parent / "../../src/import/export_scikit_learn.py"))["export"]
    table = pandas.read_csv(directory / "rows.csv", skiprows=1)
    x, labels = table.iloc[:, LEADING:].astype(np.float32), table["label"]
    models = {
        "depth_6": DecisionTreeClassifier(max_depth=6, random_state=1),
        "depth_12": DecisionTreeClassifier(max_depth=12, random_state=1),
        "forest": RandomForestClassifier(100, max_depth=8, min_samples_leaf=20, random_state=1),
    }
    for name, model in models.items():
        model.fit(x, labels)
        export(model, directory / f"{name}.model")
        (directory / f"{name}.pickle").write_bytes(pickle.dumps(model))
        write_m2cgen(model, directory / f"m2cgen_{name}")
        tl2cgen.generate_c_code(treelite.sklearn.import_model(forest_of(model, x, labels)), str(directory / f"tl2cgen_{name}"),
                                params={"parallel_comp": 0 if isinstance(model, DecisionTreeClassifier) else 8})


def write_m2cgen(model, folder):
    """A file for each tree, and for a forest one that adds them up: of a forest as a whole m2cgen makes one function, on which a
    compiler of C spends many minutes."""
    folder.mkdir(exist_ok=True)
    if isinstance(model, DecisionTreeClassifier):
        (folder / "tree.c").write_text(m2cgen.export_to_c(model))
        return
    names = [f"tree_{at}" for at in range(len(model.estimators_))]
    for name, tree in zip(names, model.estimators_):
        (folder / f"{name}.c").write_text(m2cgen.export_to_c(tree, function_name=name))
    (folder / "forest.c").write_text(f"""{''.join(f"void {name}(double *, double *);" for name in names)}
static void (*const trees[])(double *, double *) = {{{", ".join(names)}}};
void score(double *input, double *output) {{
    double of_tree[{len(model.classes_)}];
    for (int class = 0; class < {len(model.classes_)}; class++) output[class] = 0;
    for (int at = 0; at < {len(names)}; at++) {{
        trees[at](input, of_tree);
        for (int class = 0; class < {len(model.classes_)}; class++) output[class] += of_tree[class] / {len(names)};
    }}
}}
""")


def forest_of(model, x, labels):
    """A forest as treelite takes it: single trees it does not know."""
    if isinstance(model, RandomForestClassifier):
        return model
    forest = RandomForestClassifier(1, max_depth=1).fit(x, labels)
    forest.estimators_ = [model]
    return forest


def predict():
    x = np.fromfile(directory / "questions", np.float32)
    for path in sorted(directory.glob("*.pickle")):
        model = pickle.loads(path.read_bytes())
        rows = pandas.DataFrame(x.reshape(-1, model.n_features_in_), columns=model.feature_names_in_)
        for _ in range(int(sys.argv[3])):
            begin = time.perf_counter()
            chosen = model.predict(rows)
            taken = (time.perf_counter() - begin) / len(rows) * 1e9
            places = np.searchsorted(model.classes_, chosen)
            print(path.stem, "scikit-learn predict", taken, int(places.sum()))


{"train": train, "predict": predict}[sys.argv[1]]()
