import torch
from faked_results import passes

from convatlas.analysis.report import analyze
from convatlas.studies.cardinality import SIDE, SPREAD, STUDY, TEMPLATES, small_resnext

# top-1 error and parameters: Table 3
PRINTED = {
    "1 x 64d": (23.9, 25_557_032),
    "2 x 40d": (23.0, 25_425_000),
    "4 x 24d": (22.6, 25_292_968),
    "8 x 14d": (22.3, 25_603_016),
    "32 x 4d": (22.2, 25_028_904),
}


def rows(errors):
    return {
        name: {"test_error": error / 100, "train_error": error / 100, "params": p, "macs": p}
        for (name, (_, p)), error in zip(PRINTED.items(), errors, strict=True)
    }


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    printed = [error for error, _ in PRINTED.values()]
    assert passes(STUDY, rows(printed))
    assert not passes(STUDY, rows(printed[::-1]))


def test_the_small_networks_cost_the_same():
    with torch.device("meta"):
        networks = [small_resnext(*template) for template in TEMPLATES["small"]]
    costs = [analyze(network, (3, SIDE, SIDE)) for network in networks]
    for counts in ([cost.params for cost in costs], [cost.macs for cost in costs]):
        assert max(counts) / min(counts) < 1 + SPREAD


def test_the_papers_scale_has_the_templates_of_table_3():
    cases = STUDY.cases("paper")
    assert [case.name for case in cases] == list(PRINTED)
    assert [f"groups={case.name.split()[0]}" in case.settings["network"] for case in cases] == [
        False,  # one group is not printed
        *(True,) * 4,
    ]
