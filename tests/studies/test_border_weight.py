from faked_results import passes

from convatlas.studies.border_weight import STUDY, WITH, WITHOUT


def rows(with_, without, overlap=0.8):
    return {
        name: {"rand_error": error, "count_error": error, "test_mean_iou": iou}
        for name, error, iou in ((WITH, with_, overlap), (WITHOUT, without, 0.8))
    }


def test_fewer_joined_discs_pass_and_more_fail():
    assert passes(STUDY, rows(0.1, 0.4))
    assert not passes(STUDY, rows(0.4, 0.1))
    assert not passes(STUDY, rows(0.1, 0.4, overlap=0.7))


def test_the_cases_differ_in_the_loss_alone():
    for scale in ("small", "paper"):
        with_, without = (dict(case.settings["recipe"]) for case in STUDY.cases(scale))
        assert with_.pop("loss") == "border_weighted"
        assert without.pop("loss") == "cross_entropy"
        assert with_ == without
        assert with_["balance"] == "loss"
