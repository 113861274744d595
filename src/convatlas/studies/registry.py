"""Every study, in the order of the papers."""

from convatlas.errors import unknown
from convatlas.studies import (
    c3_table,
    degradation,
    dense_evaluation,
    distortions,
    dropout_heads,
    ensembles,
    gap_shift,
    identity_path,
    inception_reduction,
    lrn,
    mlpconv,
    overlapping_pooling,
    preact_orders,
    separable,
    shortcut_options,
    side_classifiers,
    small_filters,
    ten_crop,
)
from convatlas.studies.study import Study

STUDIES: tuple[Study, ...] = (
    c3_table.STUDY,
    distortions.STUDY,
    gap_shift.STUDY,
    lrn.STUDY,
    overlapping_pooling.STUDY,
    ten_crop.STUDY,
    ensembles.STUDY,
    mlpconv.STUDY,
    dropout_heads.STUDY,
    small_filters.STUDY,
    dense_evaluation.STUDY,
    inception_reduction.STUDY,
    side_classifiers.STUDY,
    degradation.STUDY,
    shortcut_options.STUDY,
    identity_path.STUDY,
    preact_orders.STUDY,
    separable.STUDY,
)


def find_study(name: str) -> Study:
    """Give a study by its name.

    Raises:
        UnknownNameError: There is none; the message lists near ones.
    """
    for study in STUDIES:
        if study.name == name:
            return study
    raise unknown("study", name, [study.name for study in STUDIES])
