"""Running the experiments of the coursework: cells, data, workers, statistics, tables, figures.

An experiment is a script with one function and one description::

    from running import Experiment, main
    from running.data import DataOptions
    from running.training import fit_classifier, make_optimizer

    def run(config, seed, data, checkpoint):                 # one cell; plain data in, plain data out
        return fit_classifier(
            lambda sets: MLP(sets.features, config["norm"]),
            lambda model: make_optimizer(config["optimizer"], model.parameters(), lr=config["lr"]),
            seed, data, checkpoint, batch_size=110, epochs=config["epochs"],
        )

    def configs(options):                                     # label -> configuration; options: --epochs, --quick, ...
        epochs = options.epochs or (1 if options.quick else 10)
        return {"SGD": {"optimizer": "SGD", "lr": 0.001, "norm": False, "epochs": epochs}, ...}

    EXPERIMENT = Experiment("report004_fully_connected", __doc__, run, configs, data="mnist",
                            title="...", reported={"SGD": {"test accuracy": 0.0958}})

    if __name__ == "__main__":
        sys.exit(main(EXPERIMENT, sys.argv[1:]))

What a cell's function must do:

- set the seed and build the model itself (`fit_classifier` does), and keep the Trainer's checkpoint at `checkpoint`;
- return {"metrics": {name: number}} and, if it has them, "history" {name: [numbers]} (with "step": the step of each
  row), "predictions" and "targets" (classes 0 to 9 of the test set, both or neither: paired tests need them),
  "parameters" (a number), and whatever else is plain data;
- stand at module level of its script, since workers import it from there.

A loop written by hand fits too: `training.tested(scores, sets, history, model, best=False)` makes the result.

`main` computes the cells that are not there yet, `--jobs` of them side by side (joblib) or on a Dask cluster
(`--dask`), each with one thread, and writes to OUT/<experiment>/ : cells/*.json
(one per configuration and seed), results.json, results.csv, table.md,
paired.json, figure.png.  A command that was killed goes on where it was: finished cells are
kept, the one that was interrupted resumes from its checkpoint.  Experiments with the same `family` share cells; give
such a configuration a "name", after which its file is called.

What `Experiment` can do besides: `metrics` (what the table shows), `panels` (what the figure shows) or `draw(cells,
path)` for a figure of its own, `pairs` (which labels are compared), `remarks(cells)` (lines below the table),
`standardize`, `steps=True` (offers --steps).  For more options: `parser = EXPERIMENT.parser()`, add them, and call
`main(EXPERIMENT, parser.parse_args(...))`; `configs` sees them.
"""

from __future__ import annotations

from .data import Data, DataOptions
from .experiment import Experiment, main
from .training import fit_classifier, make_optimizer

__all__ = ["Data", "DataOptions", "Experiment", "fit_classifier", "main", "make_optimizer"]
