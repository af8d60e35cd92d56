"""Made-up results documents, for the tests of the report."""

import math
import re

import numpy as np
import pytest

from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.task import EMOTIONS, TaskSpec
from ciao_stream.report.results import RunRow, build_document, describe_environment, describe_task, write_results

SPECS = (
    TaskSpec("affectnet", "categorical", EMOTIONS),
    TaskSpec("fer", "votes", EMOTIONS),
    TaskSpec("va", "dimensional", ("arousal", "valence")),
    TaskSpec("emoreact", "multilabel", EMOTIONS[:4]),
)
EXTRA = {
    "categorical": ("accuracy", "macro_f1"),
    "votes": ("accuracy", "macro_f1", "kl"),
    "dimensional": ("ccc", "ccc_arousal", "rmse"),
    "multilabel": ("macro_f1", "roc_auc"),
}
REASON = "a head shared by all tasks has no multi-label output"


class NoImages:
    fingerprint = "0" * 64

    def __len__(self):
        return 0

    def name(self, index):
        return f"image {index}"

    def read(self, index):
        raise NotImplementedError(index)


def task_entry(spec, source="synthetic"):
    """The entry of ``tasks`` for a made-up data set of twelve faces."""
    rows = np.arange(12)
    if spec.kind == "categorical":
        targets = rows % spec.n_out
    elif spec.kind == "votes":
        targets = np.eye(spec.n_out, dtype=np.float32)[rows % spec.n_out]
    else:
        targets = np.zeros((12, spec.n_out), dtype=np.float32)
    splits = [
        FaceDataset(spec, split, NoImages(), rows, targets, source, "majority", dropped={"no face": 2})
        for split in ("train", "validation", "test")
    ]
    return describe_task(TaskData(*splits))


def fake_document(seeds=3, specs=SPECS, sources=("synthetic",) * 4, strategies=("dl", "dl+ciao", "full", "er_shared")):
    """A test fixture: a document of invented numbers, the same at every call."""
    rng = np.random.default_rng(12)
    rows, matrices = [], {strategy: {} for strategy in strategies}
    not_run = [(s, t.name) for s in strategies for t in specs if "shared" in s and t.kind == "multilabel"]
    for s, strategy in enumerate(strategies):
        fall = 0.06 if strategy in ("full", "er_shared") else 0.0
        for seed in range(seeds):
            own = rng.uniform(0.55, 0.72, len(specs)) + 0.02 * s
            matrix = np.full((len(specs) + 1, len(specs)), np.nan)
            for i in range(len(specs) + 1):
                for j in range(len(specs)):
                    if (strategy, specs[j].name) not in not_run:
                        matrix[i, j] = 0.15 + 0.01 * j if i <= j else own[j] - fall * (i - j - 1)
            matrices[strategy][seed] = matrix
            for j, spec in enumerate(specs):
                if (strategy, spec.name) in not_run:
                    continue
                for split in ("validation", "test"):
                    metrics = {name: float(rng.uniform()) for name in EXTRA[spec.kind]}
                    metrics[spec.primary] = float(matrix[-1, j])
                    if "roc_auc" in metrics and seed == 0:
                        metrics["roc_auc"] = math.nan
                    row = RunRow(
                        strategy, spec.name, seed, split, 3589 - j, metrics, spec.primary,
                        {"trained_parameters": 1234 + 100_000 * s + j, "encode_seconds": 2.5,
                         "train_seconds": 10.0 * (s + 1) + seed}, f"{seed:064x}",
                    )  # fmt: skip
                    rows.append(row)
    return build_document(
        command=["ciao_stream.benchmark", "--tasks", "affectnet,fer"],
        environment=describe_environment("cpu", "float32"),
        encoder={"name": "vgg-small", "fingerprint": "ab" * 32, "parameters": 1_206_344, "weights": "test fixture"},
        tasks=[task_entry(spec, source) for spec, source in zip(specs, sources, strict=False)],
        settings={"epochs": 12, "preset": "default"},
        rows=rows,
        matrices=matrices,
        not_run=[{"strategy": s, "task": t, "reason": REASON} for s, t in not_run],
    )


def grid_entry(document, who, train, over, test=None):
    """The one entry of ``generalise.json`` for a strategy or a published method over some tests, or for one test."""
    wanted = {"train": train, "over": over, "test": test}
    (entry,) = [
        entry
        for entry in (*document["summary"], *document["published"])
        if who in (entry.get("strategy"), entry.get("method")) and wanted.items() <= entry.items()
    ]
    return entry


@pytest.fixture(scope="module")
def document():
    return fake_document()


@pytest.fixture(scope="module")
def written(document, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "run"
    assert [path.name for path in write_results(document, out)] == ["results.json", "results.csv", "table.md"]
    return out


def markdown_rows(path):
    """The table as a Markdown reader sees it: one dictionary per row, by the first line of the heading."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    cells = [[re.sub(r"\*\*|\\", "", c).strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    heads = [head.split("<br>")[0] for head in cells[0]]
    return [dict(zip(heads, row, strict=True)) for row in cells[2:]]
